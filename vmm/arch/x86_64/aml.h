/* aml.h - an encoder for the part of AML that the DSDT needs (ACPI 6.5, section 20;
 * resource descriptors: section 6.4).
 *
 * Calls append in the order of the text that they stand for. What has a body
 * (scope, device, method, package, field, if, resources) stays open until its
 * aml_end():
 *
 *	aml_device(a, "COM1");			Device (COM1) {
 *	aml_name(a, "_UID");			    Name (_UID,
 *	aml_integer(a, 0);				  Zero)
 *	aml_end(a);				}
 *
 * A name is one segment of up to four characters, with "\" in front for one in the
 * root. Any thread; the buffer is the caller's, and is full when it is too small.
 */
#ifndef VMM_ARCH_X86_64_AML_H
#define VMM_ARCH_X86_64_AML_H

#include "vmm/arch/x86_64/tablebuf.h"

enum { AML_MAX_DEPTH = 8 };

struct aml {
	struct tablebuf *out;
	struct {
		size_t at; /* where the length belongs */
		bool is_buffer;
	} open[AML_MAX_DEPTH];
	unsigned depth; /* 0 when everything is closed */
};

void aml_scope(struct aml *a, const char *name);
void aml_device(struct aml *a, const char *name);
void aml_method(struct aml *a, const char *name, unsigned arguments); /* Serialized */
void aml_package(struct aml *a, uint8_t elements);
void aml_end(struct aml *a);

/* Name (name, the object that the next call appends). */
void aml_name(struct aml *a, const char *name);

/* Objects. An EISA id is three capitals and four hexadecimal digits: "PNP0501". */
void aml_integer(struct aml *a, uint64_t value);
void aml_string(struct aml *a, const char *text);
void aml_eisa_id(struct aml *a, const char *id);

/* ResourceTemplate () { ... }, closed by aml_end(). */
void aml_resources(struct aml *a);
void aml_io(struct aml *a, uint16_t port, uint8_t len);	       /* IO (Decode16, ...) */
void aml_irq(struct aml *a, unsigned irq);		       /* IRQNoFlags () { irq } */
void aml_memory32(struct aml *a, uint32_t base, uint32_t len); /* Memory32Fixed (ReadWrite) */
void aml_interrupt(struct aml *a, uint32_t gsi);	       /* Interrupt (Edge, ActiveHigh) */

/* WordBusNumber and DWordMemory (ResourceProducer, MinFixed, MaxFixed, ...): what a
 * bridge hands on to its bus. */
void aml_bus_numbers(struct aml *a, uint8_t first, uint8_t count);
void aml_memory_window(struct aml *a, uint32_t base, uint32_t len);

/* OperationRegion (name, SystemIO, port, len) */
void aml_io_region(struct aml *a, const char *name, uint16_t port, uint8_t len);

/* Field (region, ByteAcc, NoLock, Preserve) { name, 8 } */
void aml_byte_field(struct aml *a, const char *region, const char *name);

/* Field (region, DWordAcc, NoLock, Preserve) { name, 32, the next name, 32, ... } */
void aml_dword_fields(struct aml *a, const char *region, const char *const *names, unsigned count);

/* Local0 = name */
void aml_set_local0(struct aml *a, const char *name);

/* If (Local0 & mask) { ..., closed by aml_end(). */
void aml_if_local0(struct aml *a, uint64_t mask);

/* name = value */
void aml_store(struct aml *a, uint64_t value, const char *name);

/* Notify (device, value) */
void aml_notify(struct aml *a, const char *device, uint8_t value);

#endif

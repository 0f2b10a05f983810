/* virtio-evil-pci.S - virtio-evil.S on the PCI transport, and what only a PCI device lets a
 * guest do. 5: the device is not there; 6: its identity could be written; 7: its BAR did
 * not come back; 8: it answers where its BAR is not; 9: RAM under a BAR is not RAM any
 * more; 10: it does not answer where its BAR is; 11: a vector is there that does not
 * exist; 12: an ejected device is still there; 13: a slot that nobody named is empty. */
#define EVIL_ON_PCI
#include "tests/guests/virtio-evil.S"

#define DEVICE_ID	0x10421af4	/* a block device; the vendor */
#define HOTPLUG_LEN	12
#define HOTPLUG_EJECT	8
#define IN_RAM		0x800000
#define MSIX_ON		0x8000

/* Each ends with the device as it was found. */
evil_before:
	cmpl	$DEVICE_ID, CONFIG
	require	e, 5
	call	write_everywhere
	call	move_bar
	call	misuse_window
	call	misuse_vectors
	call	misuse_hotplug
	ret

restore:
	movl	$BAR, CONFIG + CONFIG_BAR
	movl	$0, CONFIG + CONFIG_BAR + 4
	movw	$COMMAND_ON, CONFIG + CONFIG_COMMAND
	cmpl	$DEVICE_ID, CONFIG
	require	e, 6
	movl	CONFIG + CONFIG_BAR, %eax
	andl	$~0xf, %eax
	cmpl	$BAR, %eax
	require	e, 7
	cmpw	$0, BAR + REG_QUEUES
	require	ne, 10
	ret

/* Ones, in every width and at every alignment, to all of the configuration space of the
 * bridge, the device, an empty slot and the last one. */
write_everywhere:
	movl	$slots, %esi
1:	movl	(%esi), %edi
	testl	%edi, %edi
	jz	restore
	leal	0x140(%edi), %ecx	/* a little beyond what it has */
2:	movl	(%edi), %eax
	movl	$-1, (%edi)
	movl	1(%edi), %eax
	movl	$-1, 1(%edi)
	movw	3(%edi), %ax
	movw	$-1, 3(%edi)
	movb	$-1, 2(%edi)
	addl	$4, %edi
	cmpl	%ecx, %edi
	jb	2b
	addl	$4, %esi
	jmp	1b
slots:	.long	LAYOUT_PCI_ECAM, CONFIG, LAYOUT_PCI_ECAM + (2 << 15), LAYOUT_PCI_ECAM + (31 << 15), 0

/* Over RAM, configuration space, an APIC, the host bridge's place and the end of all
 * addresses: nothing of that is the device's, and it is gone from where it was. */
move_bar:
	movl	$places, %esi
1:	movl	(%esi), %eax
	testl	%eax, %eax
	jz	restore
	movl	%eax, CONFIG + CONFIG_BAR
	movl	4(%esi), %eax
	movl	%eax, CONFIG + CONFIG_BAR + 4
	cmpl	$-1, BAR + REG_STATUS
	require	e, 8
	movl	$0x12345678, IN_RAM
	cmpl	$0x12345678, IN_RAM
	require	e, 9
	movw	$0, CONFIG + CONFIG_COMMAND
	movw	$COMMAND_ON, CONFIG + CONFIG_COMMAND
	addl	$8, %esi
	jmp	1b
places:	.long	IN_RAM, 0, LAYOUT_PCI_ECAM, 0, LAYOUT_LAPIC, 0, 0xffff8000, 0
	.long	0x80000000, 0xffffffff, 0xffff8000, 0xffffffff, 0

/* The way into the BAR through configuration space, out of it and crooked. */
misuse_window:
	movzbl	CONFIG + 0x34, %edi
1:	testl	%edi, %edi
	jz	restore
	leal	CONFIG(%edi), %ebx
	cmpb	$9, (%ebx)		/* the vendor's own, */
	jne	2f
	cmpb	$5, 3(%ebx)		/* and of its kind */
	je	3f
2:	movzbl	1(%ebx), %edi
	jmp	1b
3:	movl	$ways, %esi
4:	movb	(%esi), %al
	cmpb	$-1, %al
	je	restore
	movb	%al, 4(%ebx)
	movl	4(%esi), %eax
	movl	%eax, 8(%ebx)
	movl	8(%esi), %eax
	movl	%eax, 12(%ebx)
	movl	16(%ebx), %eax
	movl	$-1, 16(%ebx)
	movb	17(%ebx), %al
	movb	$-1, 18(%ebx)
	addl	$12, %esi
	jmp	4b
/* BAR, offset, length */
ways:	.long	0, 0xfffffffc, 4
	.long	0, BAR_BYTES, 1
	.long	0, BAR_BYTES - 2, 4
	.long	0, 1, 4
	.long	0, 0, 0xffffffff
	.long	1, 0, 4
	.long	0xfe, 0, 4
	.long	0xff

/* Vectors that do not exist; a table of nonsense, in all widths and beyond its end, made
 * KVM's business with interrupts that nobody wants. */
misuse_vectors:
	virtio_write2 REG_CONFIG_VECTOR, $0x1234
	cmpw	$-1, BAR + REG_CONFIG_VECTOR
	require	e, 11
	queue_select 0
	virtio_write2 REG_QUEUE_VECTOR, $64
	cmpw	$-1, BAR + REG_QUEUE_VECTOR
	require	e, 11
	movl	$BAR + REG_TABLE, %edi
1:	movl	$-1, (%edi)		/* where there is no interrupt controller */
	movl	$-1, 4(%edi)
	movl	$-1, 8(%edi)
	movl	$0, 12(%edi)		/* not masked */
	movb	$-1, 1(%edi)
	movl	$-1, 2(%edi)
	movl	BAR + REG_PENDING, %eax
	movl	$-1, BAR + REG_PENDING
	addl	$16, %edi
	cmpl	$BAR + REG_TABLE + 64 * 16, %edi
	jb	1b
	movzbl	CONFIG + 0x34, %edi
2:	leal	CONFIG(%edi), %ebx
	movzbl	1(%ebx), %edi
	cmpb	$0x11, (%ebx)		/* MSI-X */
	jne	2b
	movw	$MSIX_ON, 2(%ebx)
	virtio_write2 REG_CONFIG_VECTOR, $0
	virtio_write2 REG_QUEUE_VECTOR, $1
	movl	$QUEUE_SIZE, %ecx
	call	virtio_start
	call	virtio_read_disk
	movw	$-1, 2(%ebx)
	movw	$0, 2(%ebx)
	call	virtio_reset
	jmp	restore

/* All registers, all widths; the eject of every slot but the device's. */
misuse_hotplug:
	movl	$LAYOUT_PCI_HOTPLUG, %edx
	movl	$-1, %eax
1:	inb	%dx, %al
	outb	%al, %dx
	inw	%dx, %ax
	inl	%dx, %eax
	incl	%edx
	cmpl	$LAYOUT_PCI_HOTPLUG + HOTPLUG_LEN, %edx
	jb	1b
	movl	$LAYOUT_PCI_HOTPLUG + HOTPLUG_EJECT, %edx
	movl	$~(1 << SLOT), %eax
	outl	%eax, %dx
	cmpl	$-1, LAYOUT_PCI_ECAM
	require	ne, 13
	jmp	restore

/* Nobody asked for the device back. */
evil_after:
	movl	$LAYOUT_PCI_HOTPLUG + HOTPLUG_EJECT, %edx
	movl	$-1, %eax
	outl	%eax, %dx
	outl	%eax, %dx
	cmpl	$-1, CONFIG
	require	e, 12
	cmpl	$-1, BAR + REG_STATUS
	require	e, 8
	ret

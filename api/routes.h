/* routes.h - the control surface: one table of routes, one dispatcher.
 *
 * The dispatcher finds the row, checks the body against the row's table, then the
 * machine's state, then runs the handler; errors become Firecracker's texts. To
 * add an endpoint: one row here, one table in schema.c or its like, one handler. Loop thread.
 */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include <jansson.h>

#include "api/body.h"
#include "api/http.h"
#include "vmm/vm.h"

/* The version of Firecracker whose API this is, told by GET /version. */
#define ROUTES_FIRECRACKER_VERSION "1.17.0"

/* One request, on its way through the dispatcher. */
struct api_call {
	struct vm *vm;
	const char *id;	  /* what stood for {id}; NULL: the route has none */
	void *config;	  /* the body, as the struct of the route's table; NULL: none */
	int given;	  /* how many fields the body had */
	json_t *document; /* the body of a route that takes any; NULL: none */
	int refusal;	  /* the status of an error; 0: 400 */
	json_t *reply;	  /* set by the handler: status 200; else 204 */
	struct http_response *response; /* for http_defer() */
	char *text; /* the same of a route whose answer is not JSON; from malloc */
	struct error err;
};

struct route {
	enum http_verb verb;
	const char *path;	       /* may end in "/{id}" */
	unsigned states;	       /* VM_* bits in which it is allowed */
	const struct body_table *body; /* NULL: no body is allowed */
	/* A PATCH's starting point, copied; NULL: the table's defaults, all required. */
	const void *(*present)(const struct vm *vm);
	int (*run)(struct api_call *call); /* 0, or negative with call->err set */
	bool body_optional;		   /* may be missing whatever the verb */
	bool any_body;			   /* takes any JSON object or list, for no table */
	const char *deprecated;		   /* a body field that calls for "Deprecation" */
	const char *metric;		   /* what the metrics call it; NULL: not counted */
	const char *type;		   /* of the answer; NULL: JSON */
	bool stream;			   /* the answer stays open, for events */
};

extern const struct route routes[];
extern const size_t routes_count;

/* For handlers: an error, and what a route's states cannot say. 0 or negative. */
int api_out_of_memory(struct api_call *call);
int api_check_state(struct api_call *call, unsigned allowed);

/* An http_handler; ctx is the struct vm. In dispatch.c. */
void routes_handle(void *vm, const struct http_request *request, struct http_response *response);

#endif

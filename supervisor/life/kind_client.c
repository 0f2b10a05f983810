/* kind_client.c - the client without whom an instance does not last (attend.h). */
#include "supervisor/life/attend.h"
#include "supervisor/life/kind.h"
#include "supervisor/life/kinds.h"

const struct kind kind_client = {
	.name = "client",
	.release = attend_forget,
};

/* api_client.h - one request to the API socket of a wisp under test. */
#ifndef TESTS_INTEGRATION_API_CLIENT_H
#define TESTS_INTEGRATION_API_CLIENT_H

struct api_reply {
	int status;	 /* of HTTP */
	char body[8192]; /* NUL-terminated; "" for none */
};

/* Waits until somebody listens on the socket; fails the test after limit_s. */
void api_wait(const char *socket_path, unsigned limit_s);

/* Sends one request on a connection of its own and reads the whole answer. body
 * NULL: none. Fails the test when there is no answer. */
void api_call(const char *socket_path, const char *verb, const char *path, const char *body,
	      struct api_reply *ret);

#endif

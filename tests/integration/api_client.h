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

/* The two halves of it: the connection on which the answer comes, and the answer, which
 * ends the connection. */
int api_send(const char *socket_path, const char *verb, const char *path, const char *body);
void api_receive(int fd, struct api_reply *ret);

/* GET on a connection that stays open and is returned, and the status of the answer; 0:
 * it ended without one. */
int api_ask(const char *socket_path, const char *path, int *status);

/* GET /events: a connection on which events come, to be closed. */
int api_listen(const char *socket_path);

/* Reads events until one has this name and these words in its data, which is the first
 * of that name; fails the test when another comes, or none within limit_s. */
void api_expect_event(int fd, const char *name, const char *words, unsigned limit_s);

/* The same, passing over those of that name without the words. */
void api_await_event(int fd, const char *name, const char *words, unsigned limit_s);

#endif

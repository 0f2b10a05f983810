/* file_server.h - a TCP server for guests under test: gives a file, and checks one.
 *
 * A client that asks by HTTP (any GET) gets the file. One that sends the file itself gets
 * the line "same", or "differs", once as many bytes have come. Any number at a time.
 */
#ifndef TESTS_INTEGRATION_FILE_SERVER_H
#define TESTS_INTEGRATION_FILE_SERVER_H

/* Starts a process that serves the file on all addresses of the network namespace, until
 * the test program ends. Fails the test when it cannot. */
void file_server_start(const char *path, unsigned port);

#endif

/* test_mmds.c - what the metadata service knows and how it answers: the document, tokens,
 * and requests of all kinds against one service.
 */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/mmds/data.h"
#include "devices/mmds/mmds.h"
#include "devices/mmds/tokens.h"

enum { LIMIT = 400, REQUEST = 2500 };

#define S UINT64_C(1000000)
#define DOCUMENT                                                                          \
	"{\"latest\":{\"meta-data\":{\"b\":\"two\\nlines\",\"a\":{},\"a~b/c\":\"odd\"},"  \
	"\"list\":[\"zero\",{\"x\":1}],\"n\":-3,\"yes\":true,\"none\":null,\"r\":12.12}," \
	"\"name\":\"\\u00e9\"}"

static json_t *parse(const char *text)
{
	json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(j);
	return j;
}

/* --- the document --- */

static void expect_document(const struct data *d, const char *text)
{
	json_t *want = parse(text);

	assert_true(json_equal(d->root, want));
	json_decref(want);
}

static int put(struct data *d, const char *text)
{
	json_t *j = parse(text);
	int r = data_put(d, j);

	json_decref(j);
	return r;
}

static int patch(struct data *d, const char *text)
{
	json_t *j = parse(text);
	int r = data_patch(d, j);

	json_decref(j);
	return r;
}

/* The examples of RFC 7396, appendix A, whose document is an object or a list. */
static void test_merge(void **state)
{
	static const char *const rows[][3] = {
		{ "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
		{ "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
		{ "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
		{ "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
		  "{\"a\":{\"b\":\"d\"}}" },
		{ "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
		{ "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
		{ "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
		{ "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
		{ "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
		{ "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct data d = { .limit_bytes = LIMIT };

		assert_int_equal(put(&d, rows[i][0]), 0);
		assert_int_equal(patch(&d, rows[i][1]), 0);
		expect_document(&d, rows[i][2]);
		data_clear(&d);
	}
}

static void test_limit(void **state)
{
	struct data d = { .limit_bytes = sizeof("{\"a\":\"12345678\"}") - 1 };

	(void)state;
	assert_int_equal(patch(&d, "{}"), -ENOENT);
	assert_int_equal(put(&d, "{ \"a\" : \"123456789\" }"), -EFBIG);
	assert_null(d.root);
	assert_int_equal(put(&d, "{ \"a\" : \"12345678\" }"), 0);
	assert_int_equal(patch(&d, "{\"b\":1}"), -EFBIG);
	assert_int_equal(put(&d, "{\"a\":\"123456789\"}"), -EFBIG);
	expect_document(&d, "{\"a\":\"12345678\"}");
	assert_int_equal(patch(&d, "{\"a\":null,\"b\":1}"), 0);
	expect_document(&d, "{\"b\":1}");
	data_clear(&d);
}

static void test_find(void **state)
{
	static const struct {
		const char *path, *value; /* as JSON; NULL: none */
	} rows[] = {
		{ "/name", "\"\303\251\"" },
		{ "/latest/n", "-3" },
		{ "//latest///n/", "-3" },
		{ "/latest/r", "12.12" },
		{ "/latest/list/0", "\"zero\"" },
		{ "/latest/list/1/x", "1" },
		{ "/latest/meta-data/a~0b~1c", "\"odd\"" },
		{ "/latest/list", "[\"zero\",{\"x\":1}]" },
		{ "/latest/none", "null" },
		{ "/latest/list/2", NULL },
		{ "/latest/list/00", NULL },
		{ "/latest/list/-1", NULL },
		{ "/latest/list/1x", NULL },
		{ "/latest/list/99999999999999999999", NULL },
		{ "/latest/n/0", NULL },
		{ "/latest/Name", NULL },
		{ "latest", NULL },
		{ "", NULL },
	};
	struct data d = { .limit_bytes = LIMIT };
	char *text;

	(void)state;
	assert_null(data_find(&d, "/"));
	assert_int_equal(put(&d, DOCUMENT), 0);
	assert_ptr_equal(data_find(&d, "/"), d.root);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const json_t *value = data_find(&d, rows[i].path);

		if (!rows[i].value) {
			assert_null(value);
			continue;
		}
		assert_true(data_render(value, DATA_JSON, &text) > 0);
		assert_string_equal(text, rows[i].value);
		free(text);
	}
	data_clear(&d);
}

/* No double changes on its way. */
static void test_doubles(void **state)
{
	static const double numbers[] = { 12.12, 0.1 + 0.2, 1.0 / 3, 5e-324, 1.7976931348623157e308,
					  -0.0,	 100 };
	char *text;

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		json_t *list = json_pack("[f, {s:[f]}]", 0.5, "x", numbers[i]), *back;

		assert_true(data_render(list, DATA_JSON, &text) > 0);
		back = parse(text);
		assert_true(json_equal(list, back));
		free(text);
		json_decref(back);
		json_decref(list);
	}
}

/* --- tokens --- */

static void test_tokens(void **state)
{
	struct tokens *t = calloc(1, sizeof(*t));
	char first[TOKEN_CHARS + 1], second[TOKEN_CHARS + 1], text[TOKEN_CHARS + 1];

	(void)state;
	assert_non_null(t);
	memset(text, 0, sizeof(text)); /* what an empty place has */
	assert_false(tokens_valid(t, text, TOKEN_CHARS, 0));
	assert_int_equal(tokens_issue(t, 10, 5 * S, first), 0);
	assert_int_equal(tokens_issue(t, 20, 5 * S, second), 0);
	assert_string_not_equal(first, second);
	assert_true(tokens_valid(t, first, TOKEN_CHARS, 15 * S - 1));
	assert_false(tokens_valid(t, first, TOKEN_CHARS, 15 * S));
	assert_true(tokens_valid(t, second, TOKEN_CHARS, 15 * S));
	assert_false(tokens_valid(t, second, TOKEN_CHARS - 1, 15 * S));
	assert_false(tokens_valid(t, "", 0, 15 * S));

	/* The table is full: what would end first makes place. */
	for (unsigned i = 0; i < TOKENS_MAX - 1; i++)
		assert_int_equal(tokens_issue(t, 1000 + i, 15 * S, text), 0);
	assert_true(tokens_valid(t, second, TOKEN_CHARS, 16 * S));
	assert_int_equal(tokens_issue(t, 10000, 15 * S, first), 0);
	assert_false(tokens_valid(t, second, TOKEN_CHARS, 16 * S));
	assert_true(tokens_valid(t, first, TOKEN_CHARS, 16 * S));
	assert_true(tokens_valid(t, text, TOKEN_CHARS, 16 * S));
	free(t);
}

/* --- requests --- */

static int set_up(void **state)
{
	json_t *document = parse(DOCUMENT);
	struct mmds *m;

	assert_int_equal(mmds_create(LIMIT, &m), 0);
	assert_int_equal(mmds_put(m, document), 0);
	json_decref(document);
	*state = m;
	return 0;
}

static int tear_down(void **state)
{
	mmds_destroy(*state);
	return 0;
}

/* The answer to a request that is here in one piece; to be freed. */
static char *ask(struct mmds *m, const char *request, uint64_t now_us, bool *close)
{
	struct mmds_answer a;
	char *text;

	assert_int_equal(mmds_answer(m, request, strlen(request), false, now_us, &a),
			 strlen(request));
	assert_non_null(a.text);
	text = strndup(a.text, a.len);
	free(a.text);
	*close = a.close;
	return text;
}

struct row {
	const char *request;
	int status;
	const char *type, *body;
};

static void expect_answer(struct mmds *m, const struct row *row)
{
	char want[512], *got;
	bool close;

	got = ask(m, row->request, S, &close);
	snprintf(want, sizeof(want), " %d \r\nServer: Firecracker API\r\nConnection: %s\r\n",
		 row->status, close ? "close" : "keep-alive");
	if (strncmp(got + strlen("HTTP/1.1"), want, strlen(want)) != 0)
		fail_msg("%s\n got %s", row->request, got);
	snprintf(want, sizeof(want), "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", row->type,
		 strlen(row->body), row->body);
	if (!strstr(got, want) || strlen(strstr(got, want)) != strlen(want))
		fail_msg("%s\n got %s", row->request, got);
	free(got);
}

#define PLAIN	 "text/plain"
#define AS_JSON	 "Accept: application/json\r\n"
#define GET(url) "GET " url " HTTP/1.1\r\n"
#define END	 "\r\n"
#define TOKEN	 "PUT /latest/api/token HTTP/1.1\r\n"
#define NO_TTL                                                                       \
	"Token time to live value not found. Use `X-metadata-token-ttl-seconds` or " \
	"`X-aws-ec2-metadata-token-ttl-seconds` header to specify the token's lifetime."

static void test_answers(void **state)
{
	static const struct row rows[] = {
		{ GET("/") END, 200, PLAIN, "latest/\nname" },
		{ GET("/latest/") END, 200, PLAIN, "list\nmeta-data/\nn\nnone\nr\nyes" },
		{ GET("/latest/meta-data") END, 200, PLAIN, "a/\na~b/c\nb" },
		{ GET("/latest/meta-data/b") END, 200, PLAIN, "two\nlines" },
		{ GET("/latest/meta-data/a") END, 200, PLAIN, "" },
		{ GET("http://169.254.169.254/name") END, 200, PLAIN, "\303\251" },
		{ GET("/latest/meta-data") AS_JSON END, 200, "application/json",
		  "{\"a\":{},\"a~b/c\":\"odd\",\"b\":\"two\\nlines\"}" },
		{ GET("/latest/n") "accept: text/html, Application/JSON;q=0.5\r\n" END, 200,
		  "application/json", "-3" },
		{ GET("/name") "Accept: text/plain\r\n" AS_JSON END, 200, PLAIN, "\303\251" },
		{ GET("/latest/r") AS_JSON END, 200, "application/json", "12.12" },
		{ GET("/latest/n") "Accept: */*\r\n" END, 501, PLAIN,
		  "Cannot retrieve value. The value has an unsupported type." },
		{ GET("/latest/list") END, 501, PLAIN,
		  "Cannot retrieve value. The value has an unsupported type." },
		{ GET("/latest/x//y") END, 404, PLAIN, "Resource not found: /latest/x//y." },
		{ GET("http://169.254.169.254") END, 400, PLAIN, "Invalid URI." },
		{ "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab", 405, PLAIN,
		  "Not allowed HTTP method." },
		{ "GET /name HTTP/1.0\r\n" END, 200, PLAIN, "\303\251" },
		{ TOKEN END, 400, PLAIN, NO_TTL },
		{ TOKEN "X-metadata-token-ttl-seconds: 0\r\n" END, 400, PLAIN,
		  "Invalid time to live value provided for token: 0. Please provide a value "
		  "between 1 and 21600." },
		{ TOKEN "x-aws-ec2-metadata-token-ttl-seconds: 21601\r\n" END, 400, PLAIN,
		  "Invalid time to live value provided for token: 21601. Please provide a value "
		  "between 1 and 21600." },
		{ TOKEN "X-metadata-token-ttl-seconds: 4294967296\r\n" END, 400, PLAIN,
		  "Invalid header. Reason: Invalid value. Key:X-metadata-token-ttl-seconds; "
		  "Value:4294967296" },
		{ TOKEN "X-metadata-token-ttl-seconds: -1\r\n" END, 400, PLAIN,
		  "Invalid header. Reason: Invalid value. Key:X-metadata-token-ttl-seconds; "
		  "Value:-1" },
		{ TOKEN "X-metadata-token-ttl-seconds: 9\r\nX-Forwarded-For: 1.2.3.4\r\n" END, 400,
		  PLAIN, "Invalid header. Reason: Unsupported header name. Key: X-Forwarded-For" },
		{ "PUT /latest/api/tokens HTTP/1.1\r\n" END, 404, PLAIN,
		  "Resource not found: /latest/api/tokens." },
		{ "PUT /latest/api/toke HTTP/1.1\r\n" END, 404, PLAIN,
		  "Resource not found: /latest/api/toke." },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_answer(*state, &rows[i]);
}

static void test_imds_compat(void **state)
{
	const struct row row = { GET("/name") AS_JSON END, 200, PLAIN, "\303\251" };

	mmds_configure(*state, MMDS_V1, true);
	expect_answer(*state, &row);
}

/* Nothing was put yet. */
static void test_no_document(void **state)
{
	const struct row row = { GET("/") END, 404, PLAIN, "Resource not found: /." };
	struct mmds *m;

	(void)state;
	assert_int_equal(mmds_create(LIMIT, &m), 0);
	assert_null(mmds_data(m));
	expect_answer(m, &row);
	mmds_destroy(m);
}

static void test_closing(void **state)
{
	bool close;

	free(ask(*state, GET("/") END, S, &close));
	assert_false(close);
	free(ask(*state, GET("/") "Connection: close\r\n" END, S, &close));
	assert_true(close);
	free(ask(*state, "GET / HTTP/1.0\r\n" END, S, &close));
	assert_true(close);
	free(ask(*state, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n" END, S, &close));
	assert_false(close);
}

static const char no_token[] = "No MMDS token provided. Use `X-metadata-token` or "
			       "`X-aws-ec2-metadata-token` header to specify the session token.";

static void get_token(struct mmds *m, const char *header, const char *path, char *token)
{
	char request[256], *got, *body;
	bool close;

	snprintf(request, sizeof(request), "PUT %s HTTP/1.1\r\n%s: 10\r\n\r\n", path, header);
	got = ask(m, request, S, &close);
	assert_memory_equal(got, "HTTP/1.1 200 ", 13);
	snprintf(request, sizeof(request), "\r\n%s: 10\r\n", header);
	assert_non_null(strstr(got, request));
	body = strstr(got, "\r\n\r\n");
	assert_non_null(body);
	assert_int_equal(strlen(body + 4), TOKEN_CHARS);
	strcpy(token, body + 4);
	free(got);
}

static int status_with(struct mmds *m, const char *header, const char *token, uint64_t now_us)
{
	char request[256], *got;
	int status;
	bool close;

	snprintf(request, sizeof(request), GET("/name") "%s: %s\r\n\r\n", header, token);
	got = ask(m, request, now_us, &close);
	status = atoi(got + strlen("HTTP/1.1 "));
	free(got);
	return status;
}

static void test_version_2(void **state)
{
	const struct row row = { GET("/name") END, 401, PLAIN, no_token };
	const struct mmds_counters *c = mmds_counters(*state);
	char token[TOKEN_CHARS + 1], other[TOKEN_CHARS + 1];

	mmds_configure(*state, MMDS_V2, false);
	expect_answer(*state, &row);
	get_token(*state, "X-metadata-token-ttl-seconds", "//latest/api//token", token);
	get_token(*state, "X-aws-ec2-metadata-token-ttl-seconds", "/latest/api/token", other);
	assert_int_equal(status_with(*state, "X-metadata-token", token, 11 * S - 1), 200);
	assert_int_equal(status_with(*state, "x-aws-ec2-metadata-token", other, 2 * S), 200);
	assert_int_equal(status_with(*state, "X-metadata-token", token, 11 * S), 401);
	token[0] ^= 1;
	assert_int_equal(status_with(*state, "X-metadata-token", token, 2 * S), 401);
	assert_int_equal(c->rx_no_token, 1);
	assert_int_equal(c->rx_invalid_token, 2);

	/* The first version takes them and does not insist. */
	mmds_configure(*state, MMDS_V1, false);
	assert_int_equal(status_with(*state, "X-metadata-token", token, 2 * S), 200);
	assert_int_equal(c->rx_invalid_token, 3);
}

/* However a request is cut, nothing is answered before its end, and what follows stays. */
static void test_pieces(void **state)
{
	static const char request[] = GET("/name") AS_JSON END "GET";
	const size_t whole = sizeof(request) - sizeof("GET");
	struct mmds_answer a;

	for (size_t n = 1; n < whole; n++)
		assert_int_equal(mmds_answer(*state, request, n, false, S, &a), 0);
	assert_int_equal(mmds_answer(*state, request, sizeof(request) - 1, false, S, &a), whole);
	free(a.text);
}

static void test_bad_requests(void **state)
{
	static const struct {
		const char *text, *body;
		bool full;
	} rows[] = {
		{ "\x16\x03\x01", "Invalid request.", false },
		{ "HELLO\r\n\r\n", "Invalid request.", false },
		{ "GET / HTTP/2.0\r\n\r\n", "Invalid request.", false },
		{ "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "Invalid request.", false },
		{ "GET / HTTP/1.1\r\nX: ", "The request is too long.", true },
	};
	struct mmds_answer a;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i].text);

		assert_int_equal(mmds_answer(*state, rows[i].text, len, rows[i].full, S, &a), len);
		assert_true(a.close);
		assert_memory_equal(a.text, "HTTP/1.1 400 ", 13);
		assert_memory_equal(a.text + a.len - strlen(rows[i].body), rows[i].body,
				    strlen(rows[i].body));
		free(a.text);
	}
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merge),  cmocka_unit_test(test_limit),
		cmocka_unit_test(test_find),   cmocka_unit_test(test_doubles),
		cmocka_unit_test(test_tokens), SERVED(test_answers),
		SERVED(test_imds_compat),      cmocka_unit_test(test_no_document),
		SERVED(test_closing),	       SERVED(test_version_2),
		SERVED(test_pieces),	       SERVED(test_bad_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "support/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "support/test.h"

static struct {
    uint16_t port;
    struct in_addr address;
} elsewhere[64];
static size_t n_elsewhere;

void lutra_http_at(uint16_t port, const char *address)
{
    if (n_elsewhere == sizeof(elsewhere) / sizeof(*elsewhere)) {
        lutra_test_fail("too many ports");
    }
    elsewhere[n_elsewhere].port = port;
    inet_pton(AF_INET, address, &elsewhere[n_elsewhere++].address);
}

static struct in_addr address_of(uint16_t port)
{
    for (size_t i = 0; i < n_elsewhere; i++) {
        if (elsewhere[i].port == port) {
            return elsewhere[i].address;
        }
    }
    return (struct in_addr){.s_addr = htonl(INADDR_LOOPBACK)};
}

static int connect_to(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = 10};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = address_of(port)};
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return -1;
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static char *receive_all(int fd, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    char block[16384];
    ssize_t n;
    while ((n = recv(fd, block, sizeof(block), 0)) > 0) {
        fwrite(block, 1, (size_t)n, out);
    }
    fclose(out);
    return text;
}

static void parse(struct lutra_http_answer *answer, char *text, size_t len)
{
    char *end = strstr(text, "\r\n\r\n");
    if (!end || strncmp(text, "HTTP/1.", 7) != 0 || strlen(text) < 12) {
        return;
    }
    answer->status = (int)strtol(text + strlen("HTTP/1.1 "), NULL, 10);
    *end = '\0';
    for (char *line = strstr(text, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, "Location:", 9) == 0) {
            sscanf(line + 9, " %255s", answer->location);
        }
    }
    end += 4;
    answer->len = len - (size_t)(end - text);
    free(answer->body);
    answer->body = malloc(answer->len + 1);
    if (!answer->body) {
        abort();
    }
    memcpy(answer->body, end, answer->len);
    answer->body[answer->len] = '\0';
}

struct lutra_http_answer
lutra_http_call(const char *method, uint16_t port, const char *path, const char *body)
{
    struct lutra_http_answer answer = {.body = lutra_test_format("%s", "")};
    int fd = connect_to(port);
    if (fd < 0) {
        return answer;
    }
    /* 1.0, so that the end of the answer is the end of the connection. */
    char *head = lutra_test_format("%s %s HTTP/1.0\r\nHost: 127.0.0.1:%u\r\n"
                                   "Content-Length: %zu\r\n\r\n",
                                   method, path, port, body ? strlen(body) : 0);
    if (send_all(fd, head, strlen(head)) == 0 && (!body || send_all(fd, body, strlen(body)) == 0)) {
        size_t len = 0;
        char *text = receive_all(fd, &len);
        parse(&answer, text, len);
        free(text);
    }
    free(head);
    close(fd);
    return answer;
}

void lutra_http_answer_fini(struct lutra_http_answer *answer)
{
    free(answer->body);
    answer->body = NULL;
}

char *lutra_http_get(uint16_t port, const char *path)
{
    struct lutra_http_answer answer = lutra_http_call("GET", port, path, NULL);
    if (answer.status != 200) {
        lutra_http_answer_fini(&answer);
    }
    return answer.body;
}

int lutra_http_status(uint16_t port, const char *path)
{
    struct lutra_http_answer answer = lutra_http_call("GET", port, path, NULL);
    lutra_http_answer_fini(&answer);
    return answer.status;
}

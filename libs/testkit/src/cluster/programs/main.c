/*
 * A server and client as users write them in C, and two programs for looking at a node.
 *
 * Usage: c server [PORT]        HTTP on PORT (8080): one answer a connection
 *        c get ADDRESS PORT PATH
 *        c shout ADDRESS PORT WORD   sends WORD in clear every 20 ms, from its first instruction on, until it is killed
 *        c host PROGRAM ARG...  as on the node itself: in the namespaces of process 1 (needs hostPID and privileges)
 *        c sniff WORD...        counts packets of this network namespace, but its loopback, that hold a WORD; prints the counts at SIGTERM or
 *                               when its standard input ends
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what) {
  perror(what);
  return 1;
}

static void answer(int fd, const struct sockaddr_in6 *peer) {
  char request[8192], from[64], body[512], head[256];
  size_t length = 0;
  ssize_t got;
  while (length < sizeof request - 1 && (got = read(fd, request + length, sizeof request - 1 - length)) > 0) {
    length += got;
    request[length] = 0;
    if (strstr(request, "\r\n\r\n")) break;
  }
  if (length == 0) return;
  inet_ntop(AF_INET6, &peer->sin6_addr, from, sizeof from);
  const char *plain = strncmp(from, "::ffff:", 7) == 0 ? from + 7 : from;
  const char *pod = getenv("POD_NAME"), *version = getenv("VERSION");
  int bytes = snprintf(body, sizeof body, "{\"pod\":\"%s\",\"program\":\"c\",\"from\":\"%s\"}", pod ? pod : "", plain);
  int top = snprintf(head, sizeof head,
                     "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-version: %s\r\ncontent-length: %d\r\n"
                     "connection: close\r\n\r\n",
                     version ? version : "", bytes);
  if (write(fd, head, top) != top || write(fd, body, bytes) != bytes) perror("write");
}

static int server(int port) {
  int fd = socket(AF_INET6, SOCK_STREAM, 0), one = 1, zero = 0;
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)}, peer;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 128) < 0) return fail("listen");
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    socklen_t size = sizeof peer;
    int client = accept(fd, (struct sockaddr *)&peer, &size);
    if (client < 0) continue;
    if (fork() == 0) {
      answer(client, &peer);
      _exit(0);
    }
    close(client);
  }
}

static int dial(const char *host, const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct timeval limit = {.tv_sec = 5};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1 ||
      connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    close(fd);
    return -1;
  }
  return fd;
}

static int get(const char *host, const char *port, const char *path) {
  char buffer[8192];
  int fd = dial(host, port);
  if (fd < 0) return fail("connect");
  int length = snprintf(buffer, sizeof buffer, "GET %s HTTP/1.0\r\nhost: %s\r\n\r\n", path, host);
  if (write(fd, buffer, length) != length) return fail("write");
  ssize_t got, all = 0;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) {
    all += got;
    fwrite(buffer, 1, got, stdout);
  }
  return all > 0 && got == 0 ? 0 : 1;
}

static _Noreturn void shout(const char *host, const char *port, const char *word) {
  signal(SIGPIPE, SIG_IGN);
  for (;; usleep(20000)) {
    int fd = dial(host, port);
    if (fd < 0) continue;
    if (write(fd, word, strlen(word)) < 0) perror("write");
    close(fd);
  }
}

static int host(char **argv) {
  const char *kinds[] = {"net", "uts", "ipc", "pid", "mnt"};
  int fds[5];
  for (int i = 0; i < 5; i++) {
    char path[64];
    snprintf(path, sizeof path, "/proc/1/ns/%s", kinds[i]);
    if ((fds[i] = open(path, O_RDONLY | O_CLOEXEC)) < 0) return fail(path);
  }
  for (int i = 0; i < 5; i++)
    if (setns(fds[i], 0) < 0) return fail(kinds[i]);
  if (chdir("/") < 0) return fail("chdir");
  setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
  execvp(argv[0], argv);
  return fail(argv[0]);
}

static volatile sig_atomic_t is_over = 0;
static void over(int number) { is_over = number; }

static int sniff(int count, char **words) {
  static unsigned char packet[65536];
  unsigned long found[16] = {0}, seen = 0;
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), size = 16 << 20;
  int loopback = if_nametoindex("lo");
  if (fd < 0) return fail("packet socket");
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  struct sigaction action = {.sa_handler = over};
  sigaction(SIGTERM, &action, NULL);
  struct pollfd polls[2] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
  printf("sniffs\n");
  fflush(stdout);
  while (!is_over) {
    if (poll(polls, 2, 1000) < 0 && errno != EINTR) return fail("poll");
    if (polls[0].revents) {
      struct sockaddr_ll from = {0};
      socklen_t room = sizeof from;
      ssize_t length = recvfrom(fd, packet, sizeof packet, 0, (struct sockaddr *)&from, &room);
      /* What the kubelet and the runtime say to each other, as for exec, is on no wire. */
      if (from.sll_ifindex == loopback) continue;
      seen += length > 0;
      for (int i = 0; length > 0 && i < count && i < 16; i++)
        found[i] += memmem(packet, length, words[i], strlen(words[i])) != NULL;
    }
    char byte;
    if (polls[1].revents && !polls[0].revents && read(0, &byte, 1) <= 0) break;
  }
  for (int i = 0; i < count && i < 16; i++) printf("%s %lu\n", words[i], found[i]);
  printf("packets %lu\n", seen);
  return 0;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "server";
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (!strcmp(what, "server")) return server(argc > 2 ? atoi(argv[2]) : 8080);
  if (!strcmp(what, "get") && argc == 5) return get(argv[2], argv[3], argv[4]);
  if (!strcmp(what, "shout") && argc == 5) shout(argv[2], argv[3], argv[4]);
  if (!strcmp(what, "host") && argc > 2) return host(argv + 2);
  if (!strcmp(what, "sniff") && argc > 2) return sniff(argc - 2, argv + 2);
  fprintf(stderr, "c: server, get, shout, host or sniff\n");
  return 2;
}

/* How long a TCP connection may be silent before it is given up. */
#ifndef LUTRA_BASE_TCP_H
#define LUTRA_BASE_TCP_H

/* A peer that acknowledges nothing for this long, of what was sent or of keep-alive probes, is
 * gone: reads and writes fail with ETIMEDOUT. */
#define LUTRA_TCP_SILENCE_MS 6000

/* Sets that bound on a socket, connected or not yet. What is not a TCP socket is left as it is. Any
 * thread.
 *
 * Why so short: TCP itself doubles the time between two attempts, so that a network that comes back
 * after half a minute is tried again after another half. A connection that is given up is opened
 * anew, every second or so, and works at once when the network does. */
void lutra_tcp_bound_silence(int fd);

#endif

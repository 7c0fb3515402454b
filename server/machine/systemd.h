/* What a service manager and its service say to each other, without libsystemd: sd_notify(3) and
 * sd_listen_fds(3) are a datagram and two variables of the environment. */
#ifndef SERVER_MACHINE_SYSTEMD_H
#define SERVER_MACHINE_SYSTEMD_H

/* "READY=1", "STOPPING=1", "WATCHDOG=1"; nothing happens where nobody asked for it. */
void systemd_notify(const char *state);

/* The listening socket that was handed over, -1 when there is none; more than one are not taken.
 * Closed on exec from here on, and the variables are gone, so that no worker takes it. At most
 * once, before there are threads. */
int systemd_take_socket(void);

#endif

/*
 * What systemd is told (sd_notify(3)), for units with Type=notify, and the watchdog it may ask for
 * (WatchdogSec=). Without NOTIFY_SOCKET in the environment nothing happens, and nothing fails.
 *
 *     start       service_manager_watch, then when the listeners are open service_manager_ready
 *     reload      service_manager_reloading ... service_manager_ready
 *     hand-over   old: service_manager_successor just before handover_go, and nothing more
 *                 new: service_manager_watch; service_manager_ready when it may accept
 *     SIGTERM     service_manager_stopping
 *
 * Only the main process is listened to (NotifyAccess=main); systemd takes messages in order, so
 * what the new one says after `go` counts.
 */
#ifndef PROXY_OPS_SERVICE_MANAGER_H
#define PROXY_OPS_SERVICE_MANAGER_H

#include <ev.h>
#include <stdbool.h>
#include <sys/types.h>

/* `status` is for people (systemctl status), one line. */
void service_manager_ready(const char *status);
void service_manager_status(const char *status);
void service_manager_reloading(void);
void service_manager_stopping(void);
void service_manager_successor(pid_t process);

struct service_watchdog {
    struct ev_loop *loop;
    ev_timer
        timer; /* a quarter of the time that systemd allows: one that is not alive is asked again */
    bool running;
    bool (*is_alive)(void *owner);
    void *owner;
};

/*
 * Tells systemd from the loop that the loop turns, if it wants to know and `is_alive` says that
 * everything else does as well. `handed_over`: the process has taken over from another one, to
 * which the environment's WATCHDOG_PID refers.
 */
void service_manager_watch(struct service_watchdog *watchdog, struct ev_loop *loop,
                           bool handed_over, bool (*is_alive)(void *owner), void *owner);
void service_manager_unwatch(struct service_watchdog *watchdog);

#endif

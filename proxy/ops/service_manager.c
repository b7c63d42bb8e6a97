#include "proxy/ops/service_manager.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "tunnel/net/clock.h"
#include "turbo/turbo.h"

enum { MESSAGE_MAX = 512 };

/* sd_notify(3), which waits when systemd does not keep up; this does not, and the message is lost.
 */
__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char message[MESSAGE_MAX];
    va_list arguments;

    if (path == NULL || strlen(path) >= sizeof(address.sun_path))
        return;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@') /* an abstract name */
        address.sun_path[0] = '\0';
    (void)sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&address, length);
    close(fd);
}

void service_manager_ready(const char *status)
{
    tell("READY=1\nSTATUS=%s", status);
}

void service_manager_status(const char *status)
{
    tell("STATUS=%s", status);
}

void service_manager_reloading(void)
{
    tell("RELOADING=1\nMONOTONIC_USEC=%" PRIu64, (uint64_t)clock_now());
}

void service_manager_stopping(void)
{
    tell("STOPPING=1");
}

void service_manager_successor(pid_t process)
{
    tell("MAINPID=%jd", (intmax_t)process);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    const struct service_watchdog *watchdog = timer->data;
    if (watchdog->is_alive(watchdog->owner))
        tell("WATCHDOG=1");
}

void service_manager_watch(struct service_watchdog *watchdog, struct ev_loop *loop,
                           bool handed_over, bool (*is_alive)(void *owner), void *owner)
{
    uint64_t allowed_us = 0;
    char own[32];

    *watchdog = (struct service_watchdog){.loop = loop, .is_alive = is_alive, .owner = owner};
    if (handed_over && getenv("WATCHDOG_PID") != NULL) {
        (void)snprintf(own, sizeof(own), "%jd", (intmax_t)getpid());
        (void)setenv("WATCHDOG_PID", own, 1);
    }
    if (sd_watchdog_enabled(0, &allowed_us) <= 0)
        return;
    double quarter_s = (double)allowed_us / 4e6;
    ev_timer_init(&watchdog->timer, on_timer, quarter_s, quarter_s);
    watchdog->timer.data = watchdog;
    ev_timer_start(loop, &watchdog->timer);
    ev_unref(loop); /* it does not keep the loop running */
    watchdog->running = true;
}

void service_manager_unwatch(struct service_watchdog *watchdog)
{
    if (!watchdog->running)
        return;
    ev_ref(watchdog->loop);
    ev_timer_stop(watchdog->loop, &watchdog->timer);
    watchdog->running = false;
}

/* Routes, and names of theirs, that nothing ever comes to. */
#include "tests/unit/support/decoding.h"

#include "tests/unit/support/check.h"

#define NEVER(place, field, name, first)                                                           \
    place field ": '" name "' never comes here: route[" first "] takes it first; leave it out, "   \
                "or put this route before that one"

#define TO_WEB " upstream: 'web' }\n"

static void a_route_that_nothing_reaches_is_a_mistake(void **state)
{
    (void)state;
    REFUSE("listener { address: '*:1'\n"
           " route { server_name: '*.a.example'" TO_WEB " route { server_name: 'b.a.example'" TO_WEB
           " route { server_name: ['c.example', 'X.Y.a.example'] alpn: 'h2'" TO_WEB
           " route { server_name: 'a.example'" TO_WEB " route {" TO_WEB
           " route { source: '::1'" TO_WEB "}" WEB,
           NEVER("f:3:23: listener[0].route[1].", "server_name[0]", "b.a.example", "0"),
           NEVER("f:4:37: listener[0].route[2].", "server_name[1]", "X.Y.a.example", "0"),
           "f:7:8: listener[0].route[5]: nothing ever comes here: route[4] has no conditions and "
           "takes everything; put that one last");
    /* More conditions first, or another direction: each is reached. */
    accepted("listener { address: '*:1'\n"
             " route { server_name: 'a.example' alpn: 'h2'" TO_WEB
             " route { server_name: 'a.example' source: '::1'" TO_WEB
             " route { server_name: 'a.example'" TO_WEB " route { server_name: '*.example'" TO_WEB
             " route { server_name: 'example'" TO_WEB "}" WEB);
}

static void a_host_that_never_comes_is_a_mistake(void **state)
{
    (void)state;
    REFUSE(CONNECT "route { requested_host: ['*.a.b', 'c.d'] upstream: 'there' }\n"
                   "route { requested_host: ['x.y.A.b', 'a.b', 'c.d'] upstream: 'there' } }" THERE,
           NEVER("f:3:26: listener[0].route[1].", "requested_host[0]", "x.y.A.b", "0"),
           NEVER("f:3:44: listener[0].route[1].", "requested_host[2]", "c.d", "0"));
    REFUSE(CONNECT ALL
           "\nroute { requested_host: ['a.b', '*', '10.0.0.0/8'] upstream: 'there' }\n"
           "route { requested_host: '*' requested_port: 443 upstream: 'there' } }" THERE,
           NEVER("f:3:26: listener[0].route[1].", "requested_host[0]", "a.b", "0"),
           NEVER("f:3:33: listener[0].route[1].", "requested_host[1]", "*", "0"),
           NEVER("f:4:25: listener[0].route[2].", "requested_host[0]", "*", "0"));
    /* Other ports, or from others, or what has a narrower one before it: each may come. */
    accepted(CONNECT
             "route { requested_host: '*' source: '::1' upstream: 'there' }\n"
             "route { requested_host: 'a.b' upstream: 'there' }\n"
             "route { requested_host: 'a.b' requested_port: [443, 444] upstream: 'there' }\n"
             "route { requested_host: '*' requested_port: [443, 445] upstream: 'there' }\n"
             "route { requested_host: 'c.d' requested_port: [443, 444, 445] upstream: 'there' }\n"
             "route { requested_host: '192.0.2.0/24' upstream: 'there' } }" THERE);
    /* Two before it take it between them, which is not looked for; one that takes it is found
     * behind one that does not. */
    REFUSE(CONNECT
           "route { requested_host: 'a.b' requested_port: 1 upstream: 'there' }\n"
           "route { requested_host: 'a.b' requested_port: [1, 2, 3] upstream: 'there' }\n"
           "route { requested_host: 'a.b' requested_port: [3, 2] upstream: 'there' } }" THERE,
           NEVER("f:4:25: listener[0].route[2].", "requested_host[0]", "a.b", "1"));
}

static void a_route_behind_one_that_takes_what_was_redirected_is_a_mistake(void **state)
{
    (void)state;
    REFUSE(REDIRECT
           "route { upstream: 'there' } route { requested_host: '*' upstream: 'there' } }" THERE,
           "f:2:35: listener[0].route[1]: nothing ever comes here: route[0] has no conditions and "
           "takes everything; put that one last");
    REFUSE(REDIRECT "route { requested_port: [1, 2] upstream: 'there' }\n"
                    "route { requested_port: 2 server_name: 'a.b' upstream: 'there' } }" THERE,
           "f:3:7: listener[0].route[1]: nothing ever comes here: route[0] takes everything for "
           "these ports; put this route before that one");
    /* None of them takes all. */
    accepted(REDIRECT "route { requested_host: '*' upstream: 'there' }\n"
                      "route { requested_host: '10.0.0.0/8' upstream: 'there' }\n"
                      "route { requested_port: 2 upstream: 'there' }\n"
                      "route { requested_port: 2 upstream: 'there' source: '::1'"
                      "  requested_port: 3 }\n"
                      "route { upstream: 'there' } }" THERE);
    /* A server name that only some destinations, or some ports, have taken. */
    accepted(REDIRECT
             "route { requested_host: '10.0.0.0/8' server_name: 'a.b' upstream: 'there' }\n"
             "route { requested_port: 3 server_name: 'a.b' upstream: 'there' }\n"
             "route { requested_host: '*' server_name: 'a.b' upstream: 'there' }\n"
             "route { server_name: 'a.b' upstream: 'there' } }" THERE);
    accepted(REDIRECT
             "route { requested_port: 3 server_name: 'a.b' upstream: 'there' }\n"
             "route { requested_port: [3, 4] server_name: 'a.b' upstream: 'there' } }" THERE);
    accepted(REDIRECT "route { requested_port: 3 server_name: 'a.b' upstream: 'there' }\n"
                      "route { requested_port: 3 server_name: '*.b' upstream: 'there' } }" THERE);
    accepted(REDIRECT "route { server_name: 'a.b' requested_host: '*' upstream: 'there' }\n"
                      "route { requested_host: '*' upstream: 'there' } }" THERE);
    REFUSE(REDIRECT "route { server_name: 'a.b' upstream: 'there' }\n"
                    "route { requested_port: 3 server_name: 'a.b' upstream: 'there' } }" THERE,
           NEVER("f:3:40: listener[0].route[1].", "server_name[0]", "a.b", "0"));
    REFUSE(REDIRECT "route { requested_port: [3, 4] server_name: '*.b' upstream: 'there' }\n"
                    "route { requested_port: 3 server_name: 'a.b' upstream: 'there' } }" THERE,
           NEVER("f:3:40: listener[0].route[1].", "server_name[0]", "a.b", "0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_route_that_nothing_reaches_is_a_mistake),
        CASE(a_host_that_never_comes_is_a_mistake),
        CASE(a_route_behind_one_that_takes_what_was_redirected_is_a_mistake),
    };

    return cmocka_run_group_tests(tests, NULL, decoded_free);
}

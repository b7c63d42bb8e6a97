/*
 * What a request to the administration gets: the routes, who is refused, and the answers.
 */
#ifndef PROXY_OPS_ADMIN_REQUEST_H
#define PROXY_OPS_ADMIN_REQUEST_H

#include <microhttpd.h>

#include "proxy/ops/admin.h"

enum { ADMIN_BODY_MAX = 64 * 1024 /* bytes of a request's body; it is thrown away */ };

/* One request after another on one connection. */
struct admin_request {
    const struct admin_answers *answers;
    void *owner;
    bool foreign;   /* from where nobody may ask */
    bool host_only; /* only the host itself may ask: by its own name */
    size_t body;    /* bytes of it so far */
};

/* As libmicrohttpd's MHD_AccessHandlerCallback; `*begun` is NULL in a request's first call. */
enum MHD_Result admin_request_handle(struct admin_request *request,
                                     struct MHD_Connection *connection, const char *path,
                                     const char *method, size_t *body_bytes, void **begun);

#endif

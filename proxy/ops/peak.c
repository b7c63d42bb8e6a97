#include "proxy/ops/peak.h"

#include <malloc.h>

/* Fewer are not worth the search; when a quarter is left it is not soon done again. */
enum { WORTH_IT = 128, LEFT_SHARE = 4 };

void peak_left(struct peak *peak, size_t count)
{
    if (count >= peak->most)
        peak->most = count + 1;
    if (peak->most < WORTH_IT || count > peak->most / LEFT_SHARE)
        return;
    (void)malloc_trim(0);
    peak->most = count;
}

#include "proxy/ops/peak.h"

#include <malloc.h>

/* Fewer are not worth the search; when a quarter is left it is not soon done again. */
enum { WORTH_IT = 128, LEFT_SHARE = 4 };

/* Smaller than a session's block, larger than all else that comes and goes; and what stays, of each
 * thread. */
enum { LARGE_BYTES = 64 << 10, SPARE_BYTES = 1 << 20 };

void peak_prepare(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, SPARE_BYTES);
}

void peak_left(struct peak *peak, size_t count)
{
    if (count >= peak->most)
        peak->most = count + 1;
    if (peak->most < WORTH_IT || count > peak->most / LEFT_SHARE)
        return;
    (void)malloc_trim(0);
    peak->most = count;
}

#include "tests/unit/support/vectors.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const files[] = {"ids",    "datagrams", "malformed", "openings",
                                    "parity", "plans",     "sessions"};

/* Cuts off a comment, and white space at the end. */
static void trim(char *line)
{
    line[strcspn(line, "#\n")] = '\0';
    size_t length = strlen(line);
    while (length > 0 && line[length - 1] == ' ')
        line[--length] = '\0';
}

static void add_line(struct block *block, char *line)
{
    size_t key = strcspn(line, " ");
    char *value = line + key;
    assert_true(block->count < BLOCK_LINES);
    while (*value == ' ')
        *value++ = '\0';
    block->lines[block->count].key = line;
    block->lines[block->count++].value = value;
}

/* False: the file is over. */
static bool read_block(FILE *file, struct block *block)
{
    char *at = block->text;
    block->count = 0;
    while (fgets(at, (int)(block->text + BLOCK_BYTES - at), file) != NULL) {
        bool empty = at[0] == '\n';
        assert_non_null(strchr(at, '\n')); /* else it does not fit */
        trim(at);
        if (empty && block->count > 0)
            return true;
        if (at[0] == '\0')
            continue;
        char *line = at;
        at += strlen(at) + 1;
        add_line(block, line);
    }
    return block->count > 0;
}

void vectors_each(const char *kind, void (*check)(const struct block *block))
{
    static struct block block;
    size_t found = 0;
    for (size_t i = 0; i < COUNT(files); i++) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/%s.txt", TURBOTLS_VECTORS, files[i]);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        while (read_block(file, &block)) {
            if (strcmp(block.lines[0].key, kind) != 0)
                continue;
            check(&block);
            found++;
        }
        fclose(file);
    }
    assert_true(found > 0);
}

const char *block_value(const struct block *block, const char *key)
{
    size_t i = 1;
    while (i < block->count && strcmp(block->lines[i].key, key) != 0)
        i++;
    BLOCK_ASSERT(block, i < block->count);
    return block->lines[i].value;
}

unsigned long vector_number(const char *text, int base)
{
    char *end;
    unsigned long number = strtoul(text, &end, base);
    assert_true(end != text && *end == '\0');
    return number;
}

static uint8_t digits(const char *text)
{
    char two[3] = {text[0], text[1], '\0'};
    return (uint8_t)vector_number(two, 16);
}

size_t vector_bytes(const char *text, uint8_t *out, size_t room)
{
    size_t length = 0;
    bool first = true; /* of a word */
    for (; *text != '\0'; first = *text == ' ', text += strspn(text, " ")) {
        size_t times = 1;
        uint8_t byte = digits(text);
        text += 2;
        if (*text == '*' && first) {
            char *end;
            times = strtoul(text + 1, &end, 10);
            text = end;
        }
        assert_true(times > 0 && times <= room - length);
        memset(out + length, byte, times);
        length += times;
    }
    return length;
}

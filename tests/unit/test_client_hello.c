/* ClientHellos that are well-formed: however they are cut, the same is read from them. */
#include "tests/unit/support/check.h"

#include "tests/unit/support/hello.h"
#include "turbo/client_hello.h"

static struct hello one, other;

static struct turbo_client_hello read_whole(const struct hello *hello)
{
    struct turbo_client_hello read;
    turbo_client_hello_init(&read);
    assert_int_equal(turbo_client_hello_push(&read, hello->bytes, hello->length), hello->length);
    return read;
}

/* In segments of `segment` bytes; every byte is taken, and taken once. */
static struct turbo_client_hello read_segments(const struct hello *hello, size_t segment)
{
    struct turbo_client_hello read;
    size_t taken = 0;
    turbo_client_hello_init(&read);
    while (taken < hello->length) {
        size_t n = hello->length - taken < segment ? hello->length - taken : segment;
        assert_int_equal(read.state, TURBO_HELLO_MORE);
        assert_int_equal(turbo_client_hello_push(&read, hello->bytes + taken, n), n);
        taken += n;
        assert_int_equal(read.length, taken);
    }
    return read;
}

static void alpn_text(const struct turbo_client_hello *read, char *out)
{
    size_t at = 0, length;
    const uint8_t *name;
    while ((name = turbo_client_hello_alpn(read, &at, &length)) != NULL) {
        memcpy(out, name, length);
        out += length;
        *out++ = ',';
    }
    *out = '\0';
}

static void assert_read(const struct turbo_client_hello *read, const struct hello_fixture *facts,
                        size_t length)
{
    char alpn[2 * TURBO_HELLO_CAPTURE_MAX];
    assert_int_equal(read->state, TURBO_HELLO_COMPLETE);
    assert_int_equal(read->length, length);
    assert_string_equal(read->server_name, facts->server_name);
    assert_int_equal(read->encrypted, facts->encrypted);
    assert_false(read->early_data);
    alpn_text(read, alpn);
    assert_string_equal(alpn, facts->alpn);
}

/* The captured ones, and a built one with everything in it, of `size` bytes. */
static size_t samples(void)
{
    return hello_fixture_count() + 1;
}

static struct hello_fixture sample(size_t i, struct hello *hello)
{
    if (i < hello_fixture_count())
        return hello_fixture(i, hello);
    hello_make(hello, &(struct hello_spec){.server_name = "pq.example.org",
                                           .alpn = "h3,h2",
                                           .encrypted = true,
                                           .grease = true,
                                           .post_quantum = true,
                                           .session_id = 32,
                                           .size = 1760});
    return (struct hello_fixture){"built", "pq.example.org", "h3,h2,", true};
}

static void every_program_is_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < samples(); i++) {
        struct hello_fixture facts = sample(i, &one);
        struct turbo_client_hello read = read_whole(&one);
        assert_read(&read, &facts, one.length);
    }
}

static void two_segments_cut_anywhere_are_read_as_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < samples(); i++) {
        struct hello_fixture facts = sample(i, &one);
        for (size_t cut = 1; cut < one.length; cut++) {
            struct turbo_client_hello read;
            turbo_client_hello_init(&read);
            assert_int_equal(turbo_client_hello_push(&read, one.bytes, cut), cut);
            assert_int_equal(read.state, TURBO_HELLO_MORE);
            assert_int_equal(read.length, cut);
            size_t rest = one.length - cut;
            assert_int_equal(turbo_client_hello_push(&read, one.bytes + cut, rest), rest);
            assert_read(&read, &facts, one.length);
        }
    }
}

static void single_bytes_are_each_taken_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < samples(); i++) {
        struct hello_fixture facts = sample(i, &one);
        struct turbo_client_hello read = read_segments(&one, 1);
        assert_read(&read, &facts, one.length);
    }
}

static void records_of_any_size_are_read_as_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < samples(); i++) {
        struct hello_fixture facts = sample(i, &one);
        for (size_t record = 1; record < one.length; record += record < 300 ? 1 : 61) {
            hello_split(&other, &one, record);
            struct turbo_client_hello read = read_whole(&other);
            assert_read(&read, &facts, other.length);
            read = read_segments(&other, 1);
            assert_read(&read, &facts, other.length);
            read = read_segments(&other, record + 3);
            assert_read(&read, &facts, other.length);
        }
    }
}

static void what_follows_the_hello_is_left_to_the_caller(void **state)
{
    (void)state;
    for (size_t i = 0; i < samples(); i++) {
        struct turbo_client_hello read;
        struct hello_fixture facts = sample(i, &one);
        size_t length = one.length;
        check_fill(one.bytes + length, 1, 0, 100);
        one.length += 100;
        turbo_client_hello_init(&read);
        assert_int_equal(turbo_client_hello_push(&read, one.bytes, one.length), length);
        assert_read(&read, &facts, length);
        assert_int_equal(turbo_client_hello_push(&read, one.bytes, one.length), 0);
        assert_read(&read, &facts, length);
    }
}

static void another_message_in_the_same_record_is_not_part_of_it(void **state)
{
    (void)state;
    hello_simple(&one, 0);
    size_t length = one.length, content = length - 5 + 10;
    one.bytes[3] = (uint8_t)(content >> 8);
    one.bytes[4] = (uint8_t)content;
    struct turbo_client_hello read;
    turbo_client_hello_init(&read);
    assert_int_equal(turbo_client_hello_push(&read, one.bytes, length + 10), length);
    assert_int_equal(read.state, TURBO_HELLO_COMPLETE);
    assert_int_equal(read.length, length);
}

static void a_hello_of_16_kib_is_complete_and_a_byte_more_is_too_large(void **state)
{
    struct hello_spec spec = {.server_name = "a", .size = TURBO_HELLO_MAX};
    struct turbo_client_hello read;
    (void)state;
    hello_make(&one, &spec);
    assert_int_equal(one.length, TURBO_HELLO_MAX);
    read = read_whole(&one);
    assert_int_equal(read.state, TURBO_HELLO_COMPLETE);
    read = read_segments(&one, 1);
    assert_int_equal(read.state, TURBO_HELLO_COMPLETE);
    assert_int_equal(read.length, TURBO_HELLO_MAX);

    spec.size = TURBO_HELLO_MAX + 1;
    hello_make(&one, &spec);
    turbo_client_hello_init(&read);
    turbo_client_hello_push(&read, one.bytes, one.length);
    assert_int_equal(read.state, TURBO_HELLO_TOO_LARGE);
}

static void record_headers_count_in_the_16_kib(void **state)
{
    struct hello_spec spec = {.server_name = "a", .size = TURBO_HELLO_MAX - 80};
    struct turbo_client_hello read;
    (void)state;
    hello_make(&one, &spec);
    hello_split(&other, &one, 1000); /* 17 records instead of one */
    assert_int_equal(other.length, TURBO_HELLO_MAX);
    read = read_segments(&other, 1);
    assert_int_equal(read.state, TURBO_HELLO_COMPLETE);
    read = read_whole(&other);
    assert_int_equal(read.state, TURBO_HELLO_COMPLETE);

    spec.size++;
    hello_make(&one, &spec);
    hello_split(&other, &one, 1000);
    assert_int_equal(other.length, TURBO_HELLO_MAX + 1);
    for (size_t segment = 1; segment < 20000; segment += 997) {
        size_t taken = 0, n = 1;
        turbo_client_hello_init(&read);
        while (n > 0 && read.state == TURBO_HELLO_MORE) {
            n = other.length - taken < segment ? other.length - taken : segment;
            taken += turbo_client_hello_push(&read, other.bytes + taken, n);
        }
        assert_int_equal(read.state, TURBO_HELLO_TOO_LARGE);
    }
}

static void early_data_is_noticed(void **state)
{
    (void)state;
    hello_make(&one, &(struct hello_spec){.server_name = "a", .early_data = true});
    assert_true(read_whole(&one).early_data);
    assert_true(read_segments(&one, 1).early_data);
    hello_make(&one, &(struct hello_spec){.server_name = "a"});
    assert_false(read_whole(&one).early_data);
}

static void a_hello_needs_no_extensions(void **state)
{
    struct turbo_client_hello read;
    (void)state;
    hello_make(&one, &(struct hello_spec){.no_extensions = true});
    read = read_segments(&one, 1);
    assert_int_equal(read.state, TURBO_HELLO_COMPLETE);
    assert_string_equal(read.server_name, "");
    assert_int_equal(read.alpn_length, 0);

    /* Their length may be there and be zero. */
    memset(one.bytes + one.length, 0, 2);
    one.length += 2;
    one.bytes[4] = (uint8_t)(one.bytes[4] + 2);
    one.bytes[8] = (uint8_t)(one.bytes[8] + 2);
    read = read_segments(&one, 1);
    assert_int_equal(read.state, TURBO_HELLO_COMPLETE);
}

static void names_up_to_255_bytes_are_told(void **state)
{
    char name[258];
    (void)state;
    for (size_t length = 1; length < sizeof(name); length++) {
        memset(name, 'a', sizeof(name));
        name[length] = '\0';
        hello_make(&one, &(struct hello_spec){.server_name = name, .alpn = "h2"});
        struct turbo_client_hello read = read_whole(&one);
        assert_int_equal(read.state, TURBO_HELLO_COMPLETE);
        assert_string_equal(read.server_name, length <= TURBO_SERVER_NAME_MAX ? name : "");
        assert_int_equal(read.alpn_length, 3);
    }
}

static void alpn_lists_are_told_up_to_what_is_captured(void **state)
{
    char names[601], text[2 * TURBO_HELLO_CAPTURE_MAX];
    (void)state;
    for (size_t length = 500; length < 520; length++) {
        /* Two names with their lengths make a list of `length` bytes. */
        memset(names, 'n', sizeof(names));
        names[250] = ',';
        names[length - 1] = '\0';
        hello_make(&one, &(struct hello_spec){.server_name = "a.b", .alpn = names});
        struct turbo_client_hello read = read_segments(&one, 7);
        assert_int_equal(read.state, TURBO_HELLO_COMPLETE);
        bool told = length + 2 <= TURBO_HELLO_CAPTURE_MAX && length - 252 <= 255;
        bool fits = length - 252 <= 255;
        if (!fits)
            continue; /* the second name would need a longer length field */
        assert_int_equal(read.alpn_length, told ? length : 0);
        alpn_text(&read, text);
        assert_int_equal(strlen(text), told ? length : 0);
        assert_string_equal(read.server_name, "a.b");
    }
}

static void the_session_id_may_have_any_length_up_to_32(void **state)
{
    (void)state;
    for (size_t length = 0; length <= 32; length++) {
        hello_make(&one, &(struct hello_spec){.server_name = "a", .session_id = length});
        assert_int_equal(read_segments(&one, 1).state, TURBO_HELLO_COMPLETE);
        assert_string_equal(read_whole(&one).server_name, "a");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_program_is_understood),
        CASE(two_segments_cut_anywhere_are_read_as_one),
        CASE(single_bytes_are_each_taken_once),
        CASE(records_of_any_size_are_read_as_one),
        CASE(what_follows_the_hello_is_left_to_the_caller),
        CASE(another_message_in_the_same_record_is_not_part_of_it),
        CASE(a_hello_of_16_kib_is_complete_and_a_byte_more_is_too_large),
        CASE(record_headers_count_in_the_16_kib),
        CASE(early_data_is_noticed),
        CASE(a_hello_needs_no_extensions),
        CASE(names_up_to_255_bytes_are_told),
        CASE(alpn_lists_are_told_up_to_what_is_captured),
        CASE(the_session_id_may_have_any_length_up_to_32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

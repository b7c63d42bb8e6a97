#include "tests/unit/support/tunnel_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/support/check.h"

enum { DAY = 24 * 60 * 60, LONG_CHAIN = 10, CONFIGURATION_BYTES = 8192 };

static const char server_names[] =
    "DNS:server.example,DNS:*.wild.example,IP:192.0.2.1,IP:2001:db8::1";
static const char client_names[] = "DNS:client.example,email:someone@client.example";

/* Somebody with a certificate. */
struct somebody {
    X509 *certificate;
    EVP_PKEY *key;
};

struct request {
    const char *subject;
    const char *names; /* alternative names; NULL: none */
    bool authority;
    const char *usage; /* extended; NULL: any */
    int from_days, to_days;
    const struct somebody *issuer; /* NULL: itself */
};

static void extend(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* RSA's key exchange in TLS 1.2 enciphers. */
static const char *key_usage(X509 *certificate, const struct request *request)
{
    if (request->authority)
        return "critical,keyCertSign,cRLSign";
    return EVP_PKEY_is_a(X509_get0_pubkey(certificate), "RSA")
               ? "critical,digitalSignature,keyEncipherment"
               : "critical,digitalSignature";
}

static void extend_all(X509 *certificate, X509 *issuer, const struct request *request)
{
    extend(certificate, issuer, NID_subject_key_identifier, "hash");
    if (request->issuer != NULL)
        extend(certificate, issuer, NID_authority_key_identifier, "keyid:always");
    extend(certificate, issuer, NID_basic_constraints,
           request->authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    extend(certificate, issuer, NID_key_usage, key_usage(certificate, request));
    if (request->usage != NULL)
        extend(certificate, issuer, NID_ext_key_usage, request->usage);
    if (request->names != NULL)
        extend(certificate, issuer, NID_subject_alt_name, request->names);
}

/* Takes the key over. */
static struct somebody issue(EVP_PKEY *key, const struct request *request)
{
    static long serial = 0;
    struct somebody made = {X509_new(), key};
    const struct somebody *issuer = request->issuer == NULL ? &made : request->issuer;
    assert_non_null(made.certificate);
    assert_non_null(key);
    X509_set_version(made.certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), (long)request->from_days * DAY);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), (long)request->to_days * DAY);
    X509_set_pubkey(made.certificate, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made.certificate), "CN", MBSTRING_UTF8,
                               (const unsigned char *)request->subject, -1, -1, 0);
    X509_set_issuer_name(made.certificate, X509_get_subject_name(issuer->certificate));
    extend_all(made.certificate, issuer->certificate, request);
    bool ed25519 = EVP_PKEY_is_a(issuer->key, "ED25519");
    assert_true(X509_sign(made.certificate, issuer->key, ed25519 ? NULL : EVP_sha256()) > 0);
    return made;
}

static void forget(struct somebody *somebody)
{
    X509_free(somebody->certificate);
    EVP_PKEY_free(somebody->key);
}

/* ---- files ---- */

const char *world_path(const struct world *world, const char *name, char path[WORLD_PATH_BYTES])
{
    assert_true(snprintf(path, WORLD_PATH_BYTES, "%s/%s", world->directory, name) <
                WORLD_PATH_BYTES);
    return path;
}

static FILE *create(const struct world *world, const char *name, const char *ending)
{
    char file[WORLD_PATH_BYTES], path[WORLD_PATH_BYTES];
    assert_true(snprintf(file, sizeof(file), "%s.%s", name, ending) < (int)sizeof(file));
    FILE *out = fopen(world_path(world, file, path), "wbe");
    assert_non_null(out);
    return out;
}

static void put(FILE *out, const struct somebody *somebody)
{
    assert_int_equal(PEM_write_X509(out, somebody->certificate), 1);
}

static void put_key(const struct world *world, const char *name, EVP_PKEY *key)
{
    FILE *out = create(world, name, "key");
    assert_int_equal(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(out), 0);
}

/* The certificates of `above` follow the own one. */
static void save(const struct world *world, const char *name, const struct somebody *somebody,
                 const struct somebody *above, size_t count)
{
    FILE *out = create(world, name, "pem");
    put(out, somebody);
    for (size_t i = 0; i < count; i++)
        put(out, &above[i]);
    assert_int_equal(fclose(out), 0);
    put_key(world, name, somebody->key);
}

static void save_der(const struct world *world, const char *name, const struct somebody *somebody)
{
    FILE *out = create(world, name, "der");
    assert_int_equal(i2d_X509_fp(out, somebody->certificate), 1);
    assert_int_equal(fclose(out), 0);
    out = create(world, name, "key.der");
    assert_int_equal(i2d_PrivateKey_fp(out, somebody->key), 1);
    assert_int_equal(fclose(out), 0);
    out = create(world, name, "key.encrypted");
    assert_int_equal(
        PEM_write_PKCS8PrivateKey(out, somebody->key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL),
        1);
    assert_int_equal(fclose(out), 0);
}

/* As `openssl rehash` does. */
static void save_hashed(const struct world *world, const struct somebody *somebody)
{
    char directory[WORLD_PATH_BYTES], name[WORLD_PATH_BYTES];
    FILE *out;
    world_path(world, "hashed", directory);
    assert_true(snprintf(name, sizeof(name), "hashed/%08lx",
                         X509_NAME_hash_ex(X509_get_subject_name(somebody->certificate), NULL, NULL,
                                           NULL)) < (int)sizeof(name));
    out = create(world, name, "0");
    put(out, somebody);
    assert_int_equal(fclose(out), 0);
}

/* ---- the people ---- */

static EVP_PKEY *p256(void)
{
    return EVP_EC_gen("P-256");
}

static void issue_and_save(const struct world *world, const char *name, EVP_PKEY *key,
                           const struct request *request)
{
    struct somebody made = issue(key, request);
    save(world, name, &made, NULL, 0);
    if (strcmp(name, "ecdsa") == 0)
        save_der(world, name, &made);
    forget(&made);
}

/* By another process: under valgrind looking for primes takes half a minute. */
static EVP_PKEY *rsa(void)
{
    FILE *pipe = popen("openssl genrsa 2048 2>/dev/null", "r");
    assert_non_null(pipe);
    EVP_PKEY *key = PEM_read_PrivateKey(pipe, NULL, NULL, NULL);
    assert_int_equal(pclose(pipe), 0);
    assert_non_null(key);
    return key;
}

static void make_servers(const struct world *world, const struct somebody *root)
{
    struct request request = {
        .subject = "server", .names = server_names, .to_days = 30, .from_days = -1, .issuer = root};
    issue_and_save(world, "ecdsa", p256(), &request);
    issue_and_save(world, "rsa", rsa(), &request);
    issue_and_save(world, "ed25519", EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), &request);
    request.usage = "clientAuth";
    issue_and_save(world, "purpose", p256(), &request);
    request.names = client_names;
    issue_and_save(world, "client", p256(), &request);
    request.usage = NULL;
    request.names = "DNS:other.example,IP:192.0.2.2";
    issue_and_save(world, "elsewhere", p256(), &request);
    request.subject = "server.example";
    request.names = NULL;
    issue_and_save(world, "subject", p256(), &request);
    request.names = server_names;
    request.from_days = -20;
    request.to_days = -10;
    issue_and_save(world, "expired", p256(), &request);
    request.from_days = 10;
    request.to_days = 20;
    issue_and_save(world, "future", p256(), &request);
    request.issuer = NULL;
    request.from_days = -1;
    issue_and_save(world, "self", p256(), &request);
}

static void make_chains(const struct world *world, const struct somebody *root)
{
    struct somebody chain[LONG_CHAIN]; /* the leaf first */
    const struct somebody *issuer = root;
    for (size_t i = LONG_CHAIN; i > 0; i--) {
        char subject[] = "link 0";
        subject[sizeof(subject) - 2] = (char)('0' + i - 1);
        chain[i - 1] = issue(p256(), &(struct request){.subject = subject,
                                                       .names = i == 1 ? server_names : NULL,
                                                       .authority = i > 1,
                                                       .from_days = -1,
                                                       .to_days = 30,
                                                       .issuer = issuer});
        issuer = &chain[i - 1];
    }
    save(world, "long", &chain[0], &chain[1], LONG_CHAIN - 1);
    struct request request = {.subject = "server",
                              .names = server_names,
                              .from_days = -1,
                              .to_days = 30,
                              .issuer = &chain[LONG_CHAIN - 1]};
    struct somebody leaf = issue(p256(), &request);
    save(world, "chained", &leaf, &chain[LONG_CHAIN - 1], 1);
    save(world, "incomplete", &leaf, NULL, 0);
    /* A leaf that issues another. */
    struct somebody bent[2];
    request.issuer = &leaf;
    bent[0] = leaf;
    bent[1] = chain[LONG_CHAIN - 1];
    struct somebody below = issue(p256(), &request);
    save(world, "bent", &below, bent, COUNT(bent));
    forget(&below);
    forget(&leaf);
    for (size_t i = 0; i < LONG_CHAIN; i++)
        forget(&chain[i]);
}

static void make_strangers(const struct world *world, const struct somebody *root)
{
    struct request request = {
        .subject = "server", .names = server_names, .from_days = -1, .to_days = 30, .issuer = root};
    struct somebody stranger = issue(p256(), &request);
    save(world, "stranger", &stranger, NULL, 0);
    save(world, "stranger-whole", &stranger, root, 1);
    forget(&stranger);
    request.names = client_names;
    issue_and_save(world, "stranger-client", p256(), &request);
}

static struct somebody make_root(const char *subject)
{
    return issue(
        p256(),
        &(struct request){.subject = subject, .authority = true, .from_days = -30, .to_days = 60});
}

void world_create(struct world *world)
{
    char path[WORLD_PATH_BYTES];
    snprintf(world->directory, sizeof(world->directory), "%s", "/tmp/turbotls-world-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    assert_int_equal(mkdir(world_path(world, "hashed", path), S_IRWXU), 0);
    assert_int_equal(mkdir(world_path(world, "empty", path), S_IRWXU), 0);
    struct somebody root = make_root("the root"), stranger = make_root("a stranger's root");
    save(world, "root", &root, NULL, 0);
    save_hashed(world, &root);
    make_servers(world, &root);
    make_chains(world, &root);
    make_strangers(world, &stranger);
    forget(&root);
    forget(&stranger);
}

static void empty(const char *path)
{
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(directory), entry->d_name, entry->d_type == DT_DIR ? AT_REMOVEDIR : 0);
    closedir(directory);
}

void world_destroy(struct world *world)
{
    char path[WORLD_PATH_BYTES];
    empty(world_path(world, "hashed", path));
    empty(world->directory);
    assert_int_equal(rmdir(world->directory), 0);
}

char *world_read(const struct world *world, const char *name)
{
    enum { MOST = 1 << 20 };
    char path[WORLD_PATH_BYTES];
    FILE *in = fopen(world_path(world, name, path), "rbe");
    if (in == NULL)
        return NULL;
    char *text = calloc(1, MOST);
    assert_non_null(text);
    assert_true(fread(text, 1, MOST - 1, in) < MOST - 1);
    assert_int_equal(fclose(in), 0);
    return text;
}

/* ---- contexts ---- */

static const char *or_nothing(const char *text)
{
    return text == NULL ? "" : text;
}

static void describe_identity(const struct world *world, const char *who, char *text,
                              size_t capacity)
{
    const char *at = world->directory;
    if (who != NULL)
        snprintf(text, capacity,
                 "identity {"
                 " certificate { static { data { filename: \"%s/%s.pem\" } } }"
                 " private_key { static { data { filename: \"%s/%s.key\" } } } }\n",
                 at, who, at, who);
}

static void describe_trust(const struct world *world, bool server, const char *whose, char *text,
                           size_t capacity)
{
    if (whose != NULL)
        snprintf(text, capacity,
                 "x509_verifier { trusted_cas { static { data { filename: \"%s/%s.pem\" } } } }\n",
                 world->directory, whose);
    else if (!server)
        snprintf(text, capacity, "empty_verifier { }\n");
}

struct tunnel_context *world_context(const struct world *world, bool server,
                                     const struct world_end *end, struct tunnel_error *error)
{
    char identity[CONFIGURATION_BYTES / 4] = "", trust[CONFIGURATION_BYTES / 4] = "";
    char text[CONFIGURATION_BYTES];
    describe_identity(world, end->identity, identity, sizeof(identity));
    if (end->common == NULL || strstr(end->common, "_verifier") == NULL)
        describe_trust(world, server, end->trust, trust, sizeof(trust));
    int length = snprintf(text, sizeof(text),
                          "impl: %s\n%s\n%s { tls { common_options {\n%s%s%s\n}\n%s\n} }\n",
                          end->implementation == NULL ? "IMPL_OPENSSL3" : end->implementation,
                          or_nothing(end->before), server ? "server" : "client", identity, trust,
                          or_nothing(end->common), or_nothing(end->more));
    assert_true(length > 0 && length < (int)sizeof(text));
    return tunnel_context_from_text(text, error);
}

void world_usual(const struct world *world, const char *implementation,
                 struct tunnel_context **client, struct tunnel_context **server)
{
    struct world_end trusting = {.implementation = implementation, .trust = "root"};
    struct world_end known = {.implementation = implementation, .identity = "ecdsa"};
    struct tunnel_error error;
    *client = world_context(world, false, &trusting, &error);
    *server = *client == NULL ? NULL : world_context(world, true, &known, &error);
    if (*server == NULL)
        fail_msg("%s", error.text);
}

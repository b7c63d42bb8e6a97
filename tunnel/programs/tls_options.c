#include "tls_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char tls_help_of_both[] =
    "TLS:\n"
    "  --config FILE        a TunnelConfiguration, instead of all options below\n"
    "  --impl NAME          openssl (default) or gnutls\n"
    "  --provider NAME      an OpenSSL provider to load, such as oqsprovider; may be repeated\n"
    "  --tls VERSION        1.2 or 1.3 only; both without it\n"
    "  --groups A,B         key exchange groups in order of preference: X25519,P-256\n"
    "  --ciphers A,B        suites by IANA's names: TLS_AES_128_GCM_SHA256\n"
    "  --alpn A,B           protocols in order of preference: h2,http/1.1\n"
    "  --keylog FILE        writes every connection's secrets to FILE: never in production\n";
const char tls_help_of_clients[] =
    "  --ca FILE            trust these CAs (PEM or DER); may be repeated\n"
    "  --ca-dir DIR         trust those in DIR, as openssl rehash makes it\n"
    "  --system             trust the system's CAs (default without --ca and --ca-dir)\n"
    "  --insecure           trust anybody: for tests\n"
    "  --cert FILE          our certificate, if the server asks for one\n"
    "  --key FILE           its key (default: the file of --cert)\n";
const char tls_help_of_servers[] =
    "  --cert FILE          our certificate and its issuers' (PEM, or DER for one)\n"
    "  --key FILE           its key (default: the file of --cert)\n"
    "  --client-ca FILE     ask clients for certificates of this CA; may be repeated\n"
    "  --require-client-certificate   refuse clients that show none\n";

/* ---- options ---- */

static const char *add(struct tls_list *list, const char *text)
{
    if (text[0] == '\0')
        return "is empty";
    if (list->count == TLS_LIST_MAX)
        return "is one too many: 32 are possible";
    list->texts[list->count++] = text;
    return NULL;
}

static const char *add_all(struct tls_list *list, char *texts)
{
    const char *wrong = NULL;

    for (char *next; texts != NULL && wrong == NULL; texts = next) {
        next = strchr(texts, ',');
        if (next != NULL)
            *next++ = '\0';
        wrong = add(list, texts);
    }
    return wrong;
}

static const char *choose(const char **out, const char *text, const char *one, const char *other,
                          const char *wrong)
{
    if (strcmp(text, one) != 0 && strcmp(text, other) != 0)
        return wrong;
    *out = text;
    return NULL;
}

static const char *set(const char **out, const char *text)
{
    *out = text;
    return text[0] == '\0' ? "is empty; name a file" : NULL;
}

const char *tls_option(struct tls_options *o, int option, char *argument)
{
    o->any = o->any || option != TLS_CONFIG;
    switch (option) {
    case TLS_CONFIG: return set(&o->config, argument);
    case TLS_IMPL:
        return choose(&o->implementation, argument, "openssl", "gnutls",
                      "is neither openssl nor gnutls");
    case TLS_PROVIDER: return add(&o->providers, argument);
    case TLS_VERSION: return choose(&o->version, argument, "1.2", "1.3", "is neither 1.2 nor 1.3");
    case TLS_GROUPS: return add_all(&o->groups, argument);
    case TLS_CIPHERS: return add_all(&o->ciphers, argument);
    case TLS_ALPN: return add_all(&o->alpn, argument);
    case TLS_CERT: return set(&o->certificate, argument);
    case TLS_KEY: return set(&o->key, argument);
    case TLS_CA: return add(&o->cas, argument);
    case TLS_CA_DIR: return add(&o->ca_directories, argument);
    case TLS_SYSTEM: o->system = true; return NULL;
    case TLS_INSECURE: o->insecure = true; return NULL;
    case TLS_KEYLOG: return set(&o->key_log, argument);
    case TLS_CLIENT_CA: return add(&o->cas, argument);
    case TLS_REQUIRE_CLIENT: o->require_client = true; return NULL;
    default: return "is not known";
    }
}

/* ---- the text ---- */

static void put_quoted(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            (void)fprintf(out, "\\%c", *text);
        else if ((unsigned char)*text < ' ')
            (void)fprintf(out, "\\%03o", (unsigned)*text);
        else
            (void)fputc(*text, out);
    }
    (void)fputc('"', out);
}

static void put_field(FILE *out, const char *field, const char *text)
{
    (void)fprintf(out, " %s: ", field);
    put_quoted(out, text);
}

static void put_list(FILE *out, const char *field, const struct tls_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        put_field(out, field, list->texts[i]);
}

static void put_file(FILE *out, const char *message, const char *name)
{
    (void)fprintf(out, " %s { static { data {", message);
    put_field(out, "filename", name);
    (void)fprintf(out, " } } }");
}

/* TLS 1.3's suites name no key exchange: nothing is "with" anything. */
static void put_ciphers(FILE *out, const struct tls_list *list, bool tls12)
{
    for (size_t i = 0; i < list->count; i++)
        if ((strstr(list->texts[i], "_WITH_") != NULL) == tls12)
            put_field(out, "ciphersuite", list->texts[i]);
}

static void put_versions(FILE *out, const struct tls_options *o)
{
    (void)fprintf(out, " tls12 {");
    put_ciphers(out, &o->ciphers, true);
    (void)fprintf(out, " } tls13 {");
    put_list(out, "ke", &o->groups);
    put_ciphers(out, &o->ciphers, false);
    (void)fprintf(out, " }\n");
    if (o->version != NULL)
        (void)fprintf(out,
                      " lowest_supported_version: TLS_1_%c highest_supported_version: TLS_1_%c",
                      o->version[2], o->version[2]);
}

static void put_trust(FILE *out, const struct tls_options *o, bool server)
{
    bool none = o->cas.count + o->ca_directories.count == 0;

    if (server && none)
        return;
    if (o->insecure) {
        (void)fprintf(out, " empty_verifier { }");
        return;
    }
    (void)fprintf(out, " x509_verifier {");
    for (size_t i = 0; i < o->cas.count; i++)
        put_file(out, "trusted_cas", o->cas.texts[i]);
    put_list(out, "trusted_directory", &o->ca_directories);
    (void)fprintf(out, "%s }", o->system || none ? " system_store: true" : "");
}

static void put_identity(FILE *out, const struct tls_options *o)
{
    if (o->certificate == NULL)
        return;
    (void)fprintf(out, "\n identity {");
    put_file(out, "certificate", o->certificate);
    put_file(out, "private_key", o->key != NULL ? o->key : o->certificate);
    (void)fprintf(out, " }");
}

static void put_text(FILE *out, const struct tls_options *o, bool server)
{
    bool gnutls = o->implementation != NULL && strcmp(o->implementation, "gnutls") == 0;
    const char *asked = o->require_client ? "REQUIRED" : "REQUESTED";

    (void)fprintf(out, "impl: %s", gnutls ? "IMPL_GNUTLS" : "IMPL_OPENSSL3");
    put_list(out, "provider", &o->providers);
    (void)fprintf(out, "\n%s { tls {", server ? "server" : "client");
    if (server && o->cas.count > 0)
        (void)fprintf(out, " client_authentication: CLIENT_AUTHENTICATION_%s", asked);
    (void)fprintf(out, " common_options {");
    put_versions(out, o);
    put_list(out, "alpn_protocols", &o->alpn);
    put_trust(out, o, server);
    put_identity(out, o);
    if (o->key_log != NULL)
        put_field(out, "key_log_file", o->key_log);
    (void)fprintf(out, " } } }\n");
}

/* ---- what is wrong with the text, in words of the command line ---- */

/* NULL: no option has put it there. */
static const char *option_of(const char *path, size_t length, bool server)
{
    static const struct {
        const char *part, *option;
    } parts[] = {
        {".trusted_cas[", NULL},        {".trusted_directory[", "--ca-dir"},
        {".system_store", "--system"},  {".certificate[", "--cert"},
        {".private_key", "--key"},      {".ke[", "--groups"},
        {".ciphersuite[", "--ciphers"}, {".alpn_protocols[", "--alpn"},
        {".key_log_file", "--keylog"},  {"provider[", "--provider"},
    };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (memmem(path, length, parts[i].part, strlen(parts[i].part)) != NULL)
            return parts[i].option != NULL ? parts[i].option : server ? "--client-ca" : "--ca";
    return NULL;
}

/* "configuration:2:55: client.tls.common_options.tls13.ke[0]" becomes "--groups": nobody has seen
 * that text. */
static void name_options(char *text, bool server)
{
    static const char place[] = "configuration:";

    while ((text = strstr(text, place)) != NULL) {
        char *path = text + sizeof(place) - 1;
        path += strspn(path, "0123456789:");
        path += strspn(path, " ");
        size_t length = strspn(path, "abcdefghijklmnopqrstuvwxyz_0123456789.[]");
        const char *option = option_of(path, length, server);
        if (option == NULL) {
            text = path;
            continue;
        }
        memcpy(text, option, strlen(option));
        text += strlen(option);
        memmove(text, path + length, strlen(path + length) + 1);
    }
}

/* ---- the context ---- */

/* Is one of the suites for the version that is not offered? */
static bool has_idle_cipher(const struct tls_options *o)
{
    if (o->version == NULL)
        return false;
    for (size_t i = 0; i < o->ciphers.count; i++) {
        const char *name = o->ciphers.texts[i];
        bool tls12 = strstr(name, "_WITH_") != NULL;
        if (strncmp(name, "TLS_", strlen("TLS_")) == 0 && tls12 != (strcmp(o->version, "1.2") == 0))
            return true;
    }
    return false;
}

/* NULL, or what contradicts what. */
static const char *contradiction(const struct tls_options *o, bool server)
{
    if (o->config != NULL && o->any)
        return "--config says everything about TLS: leave the other options of TLS out, or write "
               "it into the file";
    if (o->config != NULL)
        return NULL;
    if (server && o->certificate == NULL)
        return "a server needs --cert FILE and --key FILE, or --config FILE";
    if (o->key != NULL && o->certificate == NULL)
        return "--key needs --cert FILE beside it";
    if (o->require_client && o->cas.count == 0)
        return "--require-client-certificate needs --client-ca FILE: whose certificates?";
    if (has_idle_cipher(o))
        return "--ciphers has a suite that is not of the version that --tls says (those of TLS 1.2 "
               "have _WITH_ in their names): leave one of them out";
    if (o->insecure && (o->cas.count + o->ca_directories.count > 0 || o->system))
        return "--insecure trusts anybody: leave it out, or --ca, --ca-dir and --system";
    return NULL;
}

static struct tunnel_context *from_text(const struct tls_options *o, bool server,
                                        struct tunnel_error *error)
{
    struct tunnel_context *context = NULL;
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    *error = (struct tunnel_error){TUNNEL_MEMORY, "out of memory"};
    if (out == NULL)
        return NULL;
    put_text(out, o, server);
    if (fclose(out) == 0)
        context = tunnel_context_from_text(text, error);
    if (context == NULL)
        name_options(error->text, server);
    free(text);
    return context;
}

struct tunnel_context *tls_context(const struct tls_options *o, bool server,
                                   struct tunnel_error *error)
{
    const char *wrong = contradiction(o, server);
    struct tunnel_context *context;

    if (wrong != NULL) {
        error->result = TUNNEL_CONFIGURATION;
        (void)snprintf(error->text, sizeof(error->text), "%s", wrong);
        return NULL;
    }
    context = o->config == NULL ? from_text(o, server, error)
                                : tunnel_context_from_file(o->config, error);
    if (context == NULL || tunnel_context_is_server(context) == server)
        return context;
    tunnel_context_release(context);
    error->result = TUNNEL_CONFIGURATION;
    (void)snprintf(error->text, sizeof(error->text), "%s: is for a %s; write %s { ... } in it",
                   o->config, server ? "client" : "server", server ? "server" : "client");
    return NULL;
}

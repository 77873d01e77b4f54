// A small C face of simdjson's DOM parser: one call validates a document and lays it out flat.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define TT_NOEXCEPT noexcept
extern "C" {
#else
#define TT_NOEXCEPT
#endif

typedef struct tt_json_parser tt_json_parser;

enum {
    TT_JSON_NULL = 0,
    TT_JSON_FALSE = 1,
    TT_JSON_TRUE = 2,
    TT_JSON_INTEGER = 3, // fits int64
    TT_JSON_NUMBER = 4,  // anything else numeric
    TT_JSON_STRING = 5,
    TT_JSON_ARRAY = 6,
    TT_JSON_OBJECT = 7
};

enum {
    TT_JSON_OK = 0,
    TT_JSON_MALFORMED = 1,
    TT_JSON_TOO_DEEP = 2,
    TT_JSON_TOO_LONG = 3,
    TT_JSON_TOO_MANY_VALUES = 4,
    TT_JSON_NO_MEMORY = 5,
    TT_JSON_REPEATED = 6 // a field of the schema stands twice
};

// One value. Keys and texts are UTF-8 with escapes resolved, not terminated, and owned by the parser: they live until
// its next call. Only what belongs to the type is set.
typedef struct {
    const uint8_t *_Nullable key; // NULL for an array's elements and the document itself
    const uint8_t *_Nullable text;
    int64_t integer;
    double number; // for both kinds of number
    uint32_t key_length;
    uint32_t text_length;
    uint32_t next; // index behind this value and all that is in it
    uint32_t type;
} tt_json_token;

// Documents longer than max_length or nested deeper than max_depth are refused.
tt_json_parser *_Nonnull tt_json_parser_make(size_t max_length, size_t max_depth) TT_NOEXCEPT;
void tt_json_parser_free(tt_json_parser *_Nonnull parser) TT_NOEXCEPT;

// The fields of documents of one kind, so that they are found without a search. Immutable once it is made.
typedef struct tt_json_schema tt_json_schema;

enum { TT_JSON_MOST_FIELDS = 64 };

// Fields are numbered in the order of their paths; the path of a field inside an object is `object.field`, and the object
// comes first. NULL without memory or with more than TT_JSON_MOST_FIELDS paths.
tt_json_schema *_Nullable tt_json_schema_make(const char *_Nonnull const *_Nonnull paths, uint32_t count) TT_NOEXCEPT;

void tt_json_schema_free(tt_json_schema *_Nonnull schema) TT_NOEXCEPT;

// As tt_json_parse, and sets fields[n] to the index of field n's token, 0 where it is absent or null. fields has
// TT_JSON_MOST_FIELDS places. *repeated is the field that TT_JSON_REPEATED is about.
int32_t tt_json_parse_fields(tt_json_parser *_Nonnull parser, const tt_json_schema *_Nonnull schema,
                             const uint8_t *_Nullable bytes, size_t length, tt_json_token *_Nonnull tokens,
                             uint32_t capacity, uint32_t *_Nonnull fields, uint32_t *_Nonnull repeated) TT_NOEXCEPT;

// Lays the document out in tokens, parents before their children. Sets *count only if it returns TT_JSON_OK.
int32_t tt_json_parse(tt_json_parser *_Nonnull parser, const uint8_t *_Nullable bytes, size_t length,
                      tt_json_token *_Nonnull tokens, uint32_t capacity, uint32_t *_Nonnull count) TT_NOEXCEPT;

#ifdef __cplusplus
}
#endif

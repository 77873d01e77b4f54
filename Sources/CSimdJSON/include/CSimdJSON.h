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
    TT_JSON_NO_MEMORY = 5
};

// One value. Keys and texts are UTF-8 with escapes resolved, not terminated, and owned by the parser: they live until
// its next call.
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

// Lays the document out in tokens, parents before their children. Sets *count only if it returns TT_JSON_OK.
int32_t tt_json_parse(tt_json_parser *_Nonnull parser, const uint8_t *_Nullable bytes, size_t length,
                      tt_json_token *_Nonnull tokens, uint32_t capacity, uint32_t *_Nonnull count) TT_NOEXCEPT;

#ifdef __cplusplus
}
#endif

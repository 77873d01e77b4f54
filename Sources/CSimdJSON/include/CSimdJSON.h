// Reads JSON: one walk checks the grammar, lays the values out and finds the known fields. A short document as we write it,
// ASCII without white space and escapes, is walked as it stands; in any other simdjson first finds the tokens and checks the
// encoding.
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

// The types of values.
enum {
    TT_JSON_NULL = 'n',
    TT_JSON_FALSE = 'f',
    TT_JSON_TRUE = 't',
    TT_JSON_INTEGER = 'l',  // fits int64
    TT_JSON_UNSIGNED = 'u', // only beyond int64
    TT_JSON_NUMBER = 'd',
    TT_JSON_STRING = '"',
    TT_JSON_ARRAY = '[',
    TT_JSON_OBJECT = '{'
};

enum {
    TT_JSON_OK = 0,
    TT_JSON_MALFORMED = 1,
    TT_JSON_TOO_DEEP = 2,
    TT_JSON_TOO_LONG = 3,
    TT_JSON_NO_MEMORY = 4,
    TT_JSON_NO_OBJECT = 5,
    TT_JSON_REPEATED = 6 // a field of the schema stands twice
};

// A parsed document, an object: a word for each value, with its type in the highest byte. A number's value is the next
// word; an array or object says in its lowest 32 bits where what follows it is; a text has the place of its bytes, UTF-8
// with escapes resolved, in its lowest 28 bits, and their number in the 28 above. A field is its name, a text, and then its
// value. The document itself is the first word. The parser owns it all until its next call.
typedef struct {
    const uint64_t *_Nullable tape;
    const uint8_t *_Nullable bytes;
} tt_json_document;

// Documents longer than max_length, which is below 2^28, or nested deeper than max_depth are refused.
tt_json_parser *_Nonnull tt_json_parser_make(size_t max_length, size_t max_depth) TT_NOEXCEPT;
void tt_json_parser_free(tt_json_parser *_Nonnull parser) TT_NOEXCEPT;

// The fields of documents of one kind, so that they are found without a search. Immutable once it is made, and to be freed
// after the parsers that it was used with.
typedef struct tt_json_schema tt_json_schema;

enum { TT_JSON_MOST_FIELDS = 64 };

// Fields are numbered in the order of their paths; the path of a field inside an object is `object.field`, and the object
// comes first. NULL without memory or with more than TT_JSON_MOST_FIELDS paths.
tt_json_schema *_Nullable tt_json_schema_make(const char *_Nonnull const *_Nonnull paths, uint32_t count) TT_NOEXCEPT;

void tt_json_schema_free(tt_json_schema *_Nonnull schema) TT_NOEXCEPT;

// Sets *document if it returns TT_JSON_OK. With a schema it sets fields[n], of TT_JSON_MOST_FIELDS, to where field n's value
// is, 0 where it is absent or null; *repeated is the field that TT_JSON_REPEATED is about.
int32_t tt_json_parse(tt_json_parser *_Nonnull parser, const tt_json_schema *_Nullable schema,
                      const uint8_t *_Nullable bytes, size_t length, tt_json_document *_Nonnull document,
                      uint32_t *_Nonnull fields, uint32_t *_Nonnull repeated) TT_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#define SIMDJSON_EXCEPTIONS 0
#include "CSimdJSON.h"
#include <simdjson.h>

namespace dom = simdjson::dom;

struct tt_json_parser {
    dom::parser parser;
    size_t max_length;
    explicit tt_json_parser(size_t length) : parser(length), max_length(length) {}
};

namespace {

const size_t initial_capacity = 4096;

struct Output {
    tt_json_token *tokens;
    uint32_t capacity;
    uint32_t count;
};

// False when there is no room left. The parser has bounded the depth before.
bool flatten(dom::element value, const std::string_view *key, Output &out) noexcept {
    if (out.count == out.capacity) { return false; }
    tt_json_token &token = out.tokens[out.count++];
    token = {};
    if (key != nullptr) {
        token.key = reinterpret_cast<const uint8_t *>(key->data());
        token.key_length = static_cast<uint32_t>(key->size());
    }
    switch (value.type()) {
    case dom::element_type::NULL_VALUE: token.type = TT_JSON_NULL; break;
    case dom::element_type::BOOL: {
        bool flag = false;
        if (value.get(flag) != simdjson::SUCCESS) { return false; }
        token.type = flag ? TT_JSON_TRUE : TT_JSON_FALSE;
        break;
    }
    case dom::element_type::INT64:
        if (value.get(token.integer) != simdjson::SUCCESS) { return false; }
        token.number = static_cast<double>(token.integer);
        token.type = TT_JSON_INTEGER;
        break;
    case dom::element_type::UINT64: // only beyond int64
    case dom::element_type::DOUBLE:
        if (value.get(token.number) != simdjson::SUCCESS) { return false; }
        token.type = TT_JSON_NUMBER;
        break;
    case dom::element_type::STRING: {
        std::string_view text;
        if (value.get(text) != simdjson::SUCCESS) { return false; }
        token.text = reinterpret_cast<const uint8_t *>(text.data());
        token.text_length = static_cast<uint32_t>(text.size());
        token.type = TT_JSON_STRING;
        break;
    }
    case dom::element_type::ARRAY: {
        dom::array array;
        if (value.get(array) != simdjson::SUCCESS) { return false; }
        token.type = TT_JSON_ARRAY;
        for (dom::element element : array) {
            if (!flatten(element, nullptr, out)) { return false; }
        }
        break;
    }
    case dom::element_type::OBJECT: {
        dom::object object;
        if (value.get(object) != simdjson::SUCCESS) { return false; }
        token.type = TT_JSON_OBJECT;
        for (dom::key_value_pair field : object) {
            if (!flatten(field.value, &field.key, out)) { return false; }
        }
        break;
    }
    }
    token.next = out.count;
    return true;
}

} // namespace

tt_json_parser *tt_json_parser_make(size_t max_length, size_t max_depth) noexcept {
    auto *parser = new tt_json_parser(max_length);
    // Sets the depth; the capacity grows with the documents. Without memory, parsing says so.
    (void)parser->parser.allocate(initial_capacity, max_depth);
    return parser;
}

void tt_json_parser_free(tt_json_parser *parser) noexcept { delete parser; }

int32_t tt_json_parse(tt_json_parser *parser, const uint8_t *bytes, size_t length, tt_json_token *tokens,
                      uint32_t capacity, uint32_t *count) noexcept {
    if (length > parser->max_length) { return TT_JSON_TOO_LONG; }
    dom::element document;
    // Copies the bytes: simdjson reads a little past the end.
    switch (parser->parser.parse(bytes, length, true).get(document)) {
    case simdjson::SUCCESS: break;
    case simdjson::DEPTH_ERROR: return TT_JSON_TOO_DEEP;
    case simdjson::CAPACITY: return TT_JSON_TOO_LONG;
    case simdjson::MEMALLOC: return TT_JSON_NO_MEMORY;
    default: return TT_JSON_MALFORMED;
    }
    Output out{tokens, capacity, 0};
    if (!flatten(document, nullptr, out)) { return TT_JSON_TOO_MANY_VALUES; }
    *count = out.count;
    return TT_JSON_OK;
}

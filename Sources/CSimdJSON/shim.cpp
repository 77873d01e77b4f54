#define SIMDJSON_EXCEPTIONS 0
#include "CSimdJSON.h"
#include <cstring>
#include <memory>
#include <new>
#include <simdjson.h>
#include <string>
#include <vector>

namespace dom = simdjson::dom;

struct tt_json_parser {
    dom::parser parser;
    size_t max_length;
    explicit tt_json_parser(size_t length) : parser(length), max_length(length) {}
};

namespace {

const size_t initial_capacity = 4096;

// The known fields of one object, in a table with open addressing.
struct Node {
    struct Entry {
        std::string name;
        uint32_t field;
        std::unique_ptr<Node> inside;
    };
    static const size_t places = 256;
    std::vector<Entry> entries;
    int16_t table[places];

    Node() { std::memset(table, -1, sizeof table); }

    static size_t place(const uint8_t *name, size_t length) noexcept {
        if (length == 0) { return 0; }
        return (length * 67 + name[0] * 31 + name[length / 2] * 17 + name[length - 1] * 7) % places;
    }

    // Names are short: two overlapping words are quicker than a call.
    static bool equal(const char *a, const char *b, size_t length) noexcept {
        if (length >= 8 && length <= 16) {
            uint64_t a0, a1, b0, b1;
            std::memcpy(&a0, a, 8);
            std::memcpy(&b0, b, 8);
            std::memcpy(&a1, a + length - 8, 8);
            std::memcpy(&b1, b + length - 8, 8);
            return ((a0 ^ b0) | (a1 ^ b1)) == 0;
        }
        if (length >= 4 && length < 8) {
            uint32_t a0, a1, b0, b1;
            std::memcpy(&a0, a, 4);
            std::memcpy(&b0, b, 4);
            std::memcpy(&a1, a + length - 4, 4);
            std::memcpy(&b1, b + length - 4, 4);
            return ((a0 ^ b0) | (a1 ^ b1)) == 0;
        }
        for (size_t at = 0; at < length; at++) {
            if (a[at] != b[at]) { return false; }
        }
        return true;
    }

    const Entry *find(const char *name, size_t length) const noexcept {
        size_t at = place(reinterpret_cast<const uint8_t *>(name), length);
        while (table[at] >= 0) {
            const Entry &entry = entries[static_cast<size_t>(table[at])];
            if (entry.name.size() == length && equal(entry.name.data(), name, length)) { return &entry; }
            at = (at + 1) % places;
        }
        return nullptr;
    }

    void add(const std::string &name, uint32_t field) {
        size_t at = place(reinterpret_cast<const uint8_t *>(name.data()), name.size());
        while (table[at] >= 0) { at = (at + 1) % places; }
        table[at] = static_cast<int16_t>(entries.size());
        entries.push_back(Entry{name, field, nullptr});
    }
};

struct Output {
    tt_json_token *tokens;
    uint32_t capacity;
    uint32_t count;
    uint32_t *fields;
    uint64_t seen;
    int32_t repeated;
};

// False when there is no room left. The parser has bounded the depth before.
bool flatten(dom::element value, const std::string_view *key, const Node *known, Output &out) noexcept {
    if (out.count == out.capacity) { return false; }
    const uint32_t index = out.count++;
    tt_json_token &token = out.tokens[index];
    // A token is written once for each value of each record: what its type does not use is left as it was.
    const Node *inside = key == nullptr ? known : nullptr;
    if (key == nullptr) {
        token.key = nullptr;
        token.key_length = 0;
    } else {
        token.key = reinterpret_cast<const uint8_t *>(key->data());
        token.key_length = static_cast<uint32_t>(key->size());
        if (known != nullptr) {
            if (const Node::Entry *entry = known->find(key->data(), key->size())) {
                const uint64_t bit = uint64_t(1) << entry->field;
                if ((out.seen & bit) != 0 && out.repeated < 0) { out.repeated = static_cast<int32_t>(entry->field); }
                out.seen |= bit;
                if (!value.is_null()) { out.fields[entry->field] = index; }
                inside = entry->inside.get();
            }
        }
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
            if (!flatten(element, nullptr, nullptr, out)) { return false; }
        }
        break;
    }
    case dom::element_type::OBJECT: {
        dom::object object;
        if (value.get(object) != simdjson::SUCCESS) { return false; }
        token.type = TT_JSON_OBJECT;
        for (dom::key_value_pair field : object) {
            if (!flatten(field.value, &field.key, inside, out)) { return false; }
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

struct tt_json_schema {
    Node top;
};

tt_json_schema *tt_json_schema_make(const char *const *paths, uint32_t count) noexcept {
    if (count > TT_JSON_MOST_FIELDS) { return nullptr; }
    auto schema = std::unique_ptr<tt_json_schema>(new (std::nothrow) tt_json_schema());
    if (!schema) { return nullptr; }
    for (uint32_t field = 0; field < count; field++) {
        const std::string path = paths[field];
        const size_t dot = path.find('.');
        if (dot == std::string::npos) {
            schema->top.add(path, field);
            continue;
        }
        const std::string object = path.substr(0, dot);
        for (Node::Entry &entry : schema->top.entries) {
            if (entry.name != object) { continue; }
            if (!entry.inside) { entry.inside = std::make_unique<Node>(); }
            entry.inside->add(path.substr(dot + 1), field);
        }
    }
    return schema.release();
}

void tt_json_schema_free(tt_json_schema *schema) noexcept { delete schema; }

static int32_t parse(tt_json_parser *parser, const Node *known, const uint8_t *bytes, size_t length, Output &out) noexcept {
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
    return flatten(document, nullptr, known, out) ? TT_JSON_OK : TT_JSON_TOO_MANY_VALUES;
}

int32_t tt_json_parse(tt_json_parser *parser, const uint8_t *bytes, size_t length, tt_json_token *tokens,
                      uint32_t capacity, uint32_t *count) noexcept {
    Output out{tokens, capacity, 0, nullptr, 0, -1};
    const int32_t result = parse(parser, nullptr, bytes, length, out);
    if (result == TT_JSON_OK) { *count = out.count; }
    return result;
}

int32_t tt_json_parse_fields(tt_json_parser *parser, const tt_json_schema *schema, const uint8_t *bytes, size_t length,
                             tt_json_token *tokens, uint32_t capacity, uint32_t *fields, uint32_t *repeated) noexcept {
    std::memset(fields, 0, TT_JSON_MOST_FIELDS * sizeof *fields);
    Output out{tokens, capacity, 0, fields, 0, -1};
    const int32_t result = parse(parser, &schema->top, bytes, length, out);
    if (result != TT_JSON_OK || out.repeated < 0) { return result; }
    *repeated = static_cast<uint32_t>(out.repeated);
    return TT_JSON_REPEATED;
}

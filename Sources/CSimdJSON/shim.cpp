#define SIMDJSON_EXCEPTIONS 0
#include "CSimdJSON.h"
#include "cursors.h"
#include "fields.h"
#include "walk.h"
#include <cstring>
#include <memory>
#include <new>
#include <simdjson.h>
#include <string>

using namespace trimtab;

struct tt_json_schema {
    Node top;
};

struct tt_json_parser {
    const size_t max_length;
    const size_t max_depth;
    size_t capacity = 0;
    std::unique_ptr<simdjson::internal::dom_parser_implementation> simdjson;
    // A copy of the document, with room behind it that is read and never used.
    std::unique_ptr<uint8_t[]> bytes;
    size_t words = 0;
    std::unique_ptr<uint64_t[]> tape;
    // The names that are expected of a document of the schema.
    const tt_json_schema *schema = nullptr;
    Guess guesses[most_guesses];

    tt_json_parser(size_t max_length, size_t max_depth) noexcept : max_length(max_length), max_depth(max_depth) {}

    bool reserve(size_t length) noexcept {
        if (bytes && length <= capacity) { return true; }
        size_t wanted = 4096;
        while (wanted < length) { wanted *= 2; }
        bytes.reset(new (std::nothrow) uint8_t[wanted + simdjson::SIMDJSON_PADDING]);
        const auto result =
            simdjson::get_active_implementation()->create_dom_parser_implementation(wanted, max_depth, simdjson);
        capacity = bytes && result == simdjson::SUCCESS ? wanted : 0;
        return capacity > 0;
    }

    bool reserve_words(size_t wanted) noexcept {
        if (wanted <= words) { return true; }
        tape.reset(new (std::nothrow) uint64_t[wanted * 2]);
        words = tape ? wanted * 2 : 0;
        return words > 0;
    }
};

tt_json_parser *tt_json_parser_make(size_t max_length, size_t max_depth) noexcept {
    return new tt_json_parser(max_length, max_depth);
}

void tt_json_parser_free(tt_json_parser *parser) noexcept { delete parser; }

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
            if (entry.text != object) { continue; }
            if (!entry.inside) { entry.inside = std::make_unique<Node>(); }
            entry.inside->add(path.substr(dot + 1), field);
        }
    }
    return schema.release();
}

void tt_json_schema_free(tt_json_schema *schema) noexcept { delete schema; }

// Without tokens the tape has to have room for the worst case, which for longer documents is too much.
static const size_t longest_plain = 4096;

int32_t tt_json_parse(tt_json_parser *parser, const tt_json_schema *schema, const uint8_t *bytes, size_t length,
                      tt_json_document *document, uint32_t *fields, uint32_t *repeated) noexcept {
    if (length > parser->max_length) { return TT_JSON_TOO_LONG; }
    if (!parser->reserve(length)) { return TT_JSON_NO_MEMORY; }
    uint8_t *const copy = parser->bytes.get();
    if (length > 0) { std::memcpy(copy, bytes, length); }
    std::memset(copy + length, 0, simdjson::SIMDJSON_PADDING);
    const Node *const known = schema == nullptr ? nullptr : &schema->top;
    if (parser->schema != schema) {
        for (Guess &guess : parser->guesses) { guess = Guess(); }
        parser->schema = schema;
    }
    const auto finish = [&](int32_t field) {
        document->tape = parser->tape.get();
        document->bytes = copy;
        if (field < 0) { return TT_JSON_OK; }
        *repeated = static_cast<uint32_t>(field);
        return TT_JSON_REPEATED;
    };
    if (length <= longest_plain) {
        // A character makes one word at most.
        if (!parser->reserve_words(length + 1)) { return TT_JSON_NO_MEMORY; }
        if (known != nullptr) { std::memset(fields, 0, TT_JSON_MOST_FIELDS * sizeof *fields); }
        Walk<PlainCursor> walk(PlainCursor(copy), copy, parser->tape.get(), parser->max_depth, fields, parser->guesses);
        if (walk.document(known) == TT_JSON_OK && walk.place() == copy + length) { return finish(walk.repeated); }
    }
    auto &simdjson = *parser->simdjson;
    if (simdjson.stage1(copy, length, simdjson::stage1_mode::regular) != simdjson::SUCCESS) { return TT_JSON_MALFORMED; }
    const uint32_t count = simdjson.n_structural_indexes;
    uint32_t *const tokens = simdjson.structural_indexes.get();
    tokens[count] = tokens[count + 1] = static_cast<uint32_t>(length);
    // A token makes two words at most.
    if (!parser->reserve_words(2 * size_t(count))) { return TT_JSON_NO_MEMORY; }
    if (known != nullptr) { std::memset(fields, 0, TT_JSON_MOST_FIELDS * sizeof *fields); }
    const TokenCursor start(copy, length, tokens);
    Walk<TokenCursor> walk(start, copy, parser->tape.get(), parser->max_depth, fields, parser->guesses);
    const int32_t result = walk.document(known);
    if (result != TT_JSON_OK) { return result; }
    return walk.place() == tokens + count ? finish(walk.repeated) : TT_JSON_MALFORMED;
}

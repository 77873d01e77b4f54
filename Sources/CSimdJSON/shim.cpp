#define SIMDJSON_EXCEPTIONS 0
#include "CSimdJSON.h"
#include <charconv>
#include <cstring>
#include <memory>
#include <new>
#include <simdjson.h>
#include <string>
#include <vector>

namespace {

// A name by its first and last eight bytes, which for names of up to sixteen is all of it.
struct Name {
    uint64_t head;
    uint64_t tail;
    uint32_t length;

    // Reads eight bytes even of a shorter text: there is padding behind every text.
    Name(const uint8_t *text, uint32_t size) noexcept : head(0), tail(0), length(size) {
        std::memcpy(&head, text, sizeof head);
        if (size < 8) {
            head &= (uint64_t(1) << (8 * size)) - 1;
        } else {
            std::memcpy(&tail, text + size - 8, sizeof tail);
        }
    }

    bool operator==(const Name &other) const noexcept {
        return ((head ^ other.head) | (tail ^ other.tail) | (length ^ other.length)) == 0;
    }
};

// The known fields of one object, in a table with open addressing.
struct Node {
    struct Entry {
        Name name;
        std::string text;
        uint32_t field;
        std::unique_ptr<Node> inside;
    };
    // More than TT_JSON_MOST_FIELDS, so that a search ends.
    static const size_t places = 256;
    std::vector<Entry> entries;
    int16_t table[places];

    Node() { std::memset(table, -1, sizeof table); }

    static size_t place(const Name &name) noexcept {
        return (name.head + name.tail * 31 + name.length) * 0x9E3779B97F4A7C15 >> 56;
    }

    const Entry *find(const uint8_t *text, uint32_t length) const noexcept {
        const Name name(text, length);
        for (size_t at = place(name); table[at] >= 0; at = (at + 1) % places) {
            const Entry &entry = entries[static_cast<size_t>(table[at])];
            if (entry.name == name && (length <= 16 || std::memcmp(entry.text.data(), text, length) == 0)) {
                return &entry;
            }
        }
        return nullptr;
    }

    void add(const std::string &text, uint32_t field) {
        std::string padded = text;
        padded.resize(text.size() + 8);
        const Name name(reinterpret_cast<const uint8_t *>(padded.data()), static_cast<uint32_t>(text.size()));
        size_t at = place(name);
        while (table[at] >= 0) { at = (at + 1) % places; }
        table[at] = static_cast<int16_t>(entries.size());
        entries.push_back(Entry{name, text, field, nullptr});
    }
};

// What may follow a number or a literal.
struct Ends {
    bool flags[256] = {};
    constexpr Ends() {
        for (const char *end = " \t\n\r,:[]{}"; *end != 0; end++) { flags[static_cast<uint8_t>(*end)] = true; }
    }
};
constexpr Ends ends;

// Powers of ten that a double holds exactly.
const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                         1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

uint64_t word(uint64_t type, uint64_t rest) noexcept { return type << 56 | rest; }

#define TT_INLINE __attribute__((always_inline)) inline

// Checks the grammar of a document in which simdjson has found the tokens, and lays it out. simdjson has seen to it that
// it is UTF-8, that every text ends, and that no control character is in one.
class Walk {
  public:
    int32_t repeated = -1;

    // Each token is the place where one begins. They end with two at the end of the document, where there is a zero: no
    // token begins with one, so none behind them is looked at.
    Walk(uint8_t *bytes, size_t length, const uint32_t *tokens, uint64_t *tape, size_t max_depth,
         uint32_t *fields) noexcept
        : bytes(bytes), has_escapes(std::memchr(bytes, '\\', length) != nullptr), tape(tape), max_depth(max_depth),
          fields(fields), token(tokens), out(tape) {}

    int32_t document(const Node *known, const uint32_t *end) noexcept {
        if (!object(known, 1)) { return is_deep ? TT_JSON_TOO_DEEP : TT_JSON_MALFORMED; }
        return token == end ? TT_JSON_OK : TT_JSON_MALFORMED;
    }

  private:
    uint8_t *const bytes;
    const bool has_escapes;
    uint64_t *const tape;
    const size_t max_depth;
    uint32_t *const fields;
    uint64_t seen = 0;
    bool is_deep = false;
    // Kept in variables of their own while an object or array is walked, since they change with every token.
    const uint32_t *token;
    uint64_t *out;

    bool object(const Node *known, size_t depth) noexcept {
        if (depth > max_depth) { return !(is_deep = true); }
        const uint32_t *token = this->token + 1;
        uint64_t *out = this->out;
        uint64_t *const head = out++;
        if (bytes[*token] != '}') {
            while (true) {
                if (bytes[*token] != '"' || !text(token, out) || bytes[*token] != ':') { return false; }
                token++;
                const Node::Entry *entry = known == nullptr ? nullptr : field(known, out[-1]);
                const Node *inside = entry == nullptr ? nullptr : entry->inside.get();
                uint64_t *const place = out;
                if (!value(token, out, inside, depth)) { return false; }
                if (entry != nullptr && *place >> 56 != TT_JSON_NULL) {
                    fields[entry->field] = static_cast<uint32_t>(place - tape);
                }
                if (bytes[*token] == '}') { break; }
                if (bytes[*token] != ',') { return false; }
                token++;
            }
        }
        this->token = token + 1;
        this->out = out;
        *head = word(TT_JSON_OBJECT, static_cast<uint64_t>(out - tape));
        return true;
    }

    bool array(size_t depth) noexcept {
        if (depth > max_depth) { return !(is_deep = true); }
        const uint32_t *token = this->token + 1;
        uint64_t *out = this->out;
        uint64_t *const head = out++;
        if (bytes[*token] != ']') {
            while (true) {
                if (!value(token, out, nullptr, depth)) { return false; }
                if (bytes[*token] == ']') { break; }
                if (bytes[*token] != ',') { return false; }
                token++;
            }
        }
        this->token = token + 1;
        this->out = out;
        *head = word(TT_JSON_ARRAY, static_cast<uint64_t>(out - tape));
        return true;
    }

    TT_INLINE bool value(const uint32_t *&token, uint64_t *&out, const Node *known, size_t depth) noexcept {
        const uint8_t *start = bytes + *token;
        switch (*start) {
        case '"': return text(token, out);
        case 't': return literal(token, out, "true", 4, TT_JSON_TRUE);
        case 'f': return literal(token, out, "false", 5, TT_JSON_FALSE);
        case 'n': return literal(token, out, "null", 4, TT_JSON_NULL);
        case '{':
        case '[': {
            this->token = token;
            this->out = out;
            const bool is_valid = *start == '{' ? object(known, depth + 1) : array(depth + 1);
            token = this->token;
            out = this->out;
            return is_valid;
        }
        default: token++; return number(start, out);
        }
    }

    // The known field of a name; notes that it was there.
    TT_INLINE const Node::Entry *field(const Node *known, uint64_t name) noexcept {
        const Node::Entry *entry =
            known->find(bytes + (name & ((1 << 28) - 1)), static_cast<uint32_t>(name >> 28 & ((1 << 28) - 1)));
        if (entry == nullptr) { return nullptr; }
        const uint64_t bit = uint64_t(1) << entry->field;
        if ((seen & bit) != 0 && repeated < 0) { repeated = static_cast<int32_t>(entry->field); }
        seen |= bit;
        return entry;
    }

    // The text ends with the last quote before the next token: only white space is between them.
    TT_INLINE bool text(const uint32_t *&token, uint64_t *&out) noexcept {
        const uint32_t start = *token++ + 1;
        uint32_t end = *token - 1;
        while (bytes[end] != '"') { end--; }
        if (end < start) { return false; }
        uint32_t length = end - start;
        if (has_escapes && !unescape(bytes + start, length)) { return false; }
        *out++ = word(TT_JSON_STRING, uint64_t(length) << 28 | start);
        return true;
    }

    // In place, since no escape is shorter than what it stands for.
    static bool unescape(uint8_t *text, uint32_t &length) noexcept {
        const uint8_t *in = text, *const end = text + length;
        uint8_t *out = text;
        while (in < end) {
            if (*in != '\\') {
                *out++ = *in++;
                continue;
            }
            in++;
            switch (*in++) {
            case '"': *out++ = '"'; break;
            case '\\': *out++ = '\\'; break;
            case '/': *out++ = '/'; break;
            case 'b': *out++ = '\b'; break;
            case 'f': *out++ = '\f'; break;
            case 'n': *out++ = '\n'; break;
            case 'r': *out++ = '\r'; break;
            case 't': *out++ = '\t'; break;
            case 'u': {
                uint32_t point;
                if (!hex(in, end, point)) { return false; }
                if (point >= 0xDC00 && point < 0xE000) { return false; }
                if (point >= 0xD800 && point < 0xDC00) {
                    uint32_t low;
                    if (end - in < 2 || in[0] != '\\' || in[1] != 'u' || !hex(in += 2, end, low)) { return false; }
                    if (low < 0xDC00 || low >= 0xE000) { return false; }
                    point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
                }
                out = utf8(point, out);
                break;
            }
            default: return false;
            }
        }
        length = static_cast<uint32_t>(out - text);
        return true;
    }

    static bool hex(const uint8_t *&in, const uint8_t *end, uint32_t &point) noexcept {
        if (end - in < 4) { return false; }
        const char *digits = reinterpret_cast<const char *>(in);
        in += 4;
        return std::from_chars(digits, digits + 4, point, 16).ptr == digits + 4;
    }

    static uint8_t *utf8(uint32_t point, uint8_t *out) noexcept {
        if (point < 0x80) {
            *out++ = static_cast<uint8_t>(point);
        } else if (point < 0x800) {
            *out++ = static_cast<uint8_t>(0xC0 | point >> 6);
            *out++ = static_cast<uint8_t>(0x80 | (point & 0x3F));
        } else if (point < 0x10000) {
            *out++ = static_cast<uint8_t>(0xE0 | point >> 12);
            *out++ = static_cast<uint8_t>(0x80 | (point >> 6 & 0x3F));
            *out++ = static_cast<uint8_t>(0x80 | (point & 0x3F));
        } else {
            *out++ = static_cast<uint8_t>(0xF0 | point >> 18);
            *out++ = static_cast<uint8_t>(0x80 | (point >> 12 & 0x3F));
            *out++ = static_cast<uint8_t>(0x80 | (point >> 6 & 0x3F));
            *out++ = static_cast<uint8_t>(0x80 | (point & 0x3F));
        }
        return out;
    }

    TT_INLINE bool literal(const uint32_t *&token, uint64_t *&out, const char *text, size_t length,
                           uint64_t type) noexcept {
        const uint8_t *start = bytes + *token++;
        *out++ = word(type, 0);
        return std::memcmp(start, text, length) == 0 && ends.flags[start[length]];
    }

    // Reads digits into a number, which overflows beyond nineteen of them.
    static TT_INLINE int64_t digits(const uint8_t *&at, uint64_t &value) noexcept {
        const uint8_t *const from = at;
        for (uint8_t digit; (digit = static_cast<uint8_t>(*at - '0')) < 10; at++) { value = value * 10 + digit; }
        return at - from;
    }

    static TT_INLINE bool number(const uint8_t *const start, uint64_t *&out) noexcept {
        const uint8_t *at = start;
        const bool negative = *at == '-';
        if (negative) { at++; }
        const uint8_t *const first = at;
        uint64_t value = 0;
        const int64_t count = digits(at, value);
        if (count == 0 || (*first == '0' && count > 1)) { return false; }
        if (!ends.flags[*at]) { return real(start, at, negative, value, count, out); }
        if (count > 18) { return large(start, at, out); }
        *out++ = word(TT_JSON_INTEGER, 0);
        *out++ = negative ? -value : value;
        return true;
    }

    // The rest of a number behind its first digits.
    static bool real(const uint8_t *start, const uint8_t *at, bool negative, uint64_t value, int64_t count,
                     uint64_t *&out) noexcept {
        int64_t exponent = 0;
        if (*at == '.') {
            const int64_t fraction = digits(++at, value);
            if (fraction == 0) { return false; }
            count += fraction;
            exponent = -fraction;
        }
        if (*at == 'e' || *at == 'E') {
            at++;
            const bool down = *at == '-';
            if (down || *at == '+') { at++; }
            const uint8_t *const from = at;
            int64_t power = 0;
            for (uint8_t digit; (digit = static_cast<uint8_t>(*at - '0')) < 10; at++) {
                if (power < 1000000) { power = power * 10 + digit; }
            }
            if (at == from) { return false; }
            exponent += down ? -power : power;
        }
        if (!ends.flags[*at]) { return false; }
        double result = 0;
        if (count < 19 && value <= uint64_t(1) << 53 && exponent >= -22 && exponent <= 22) {
            // Both are exact as doubles, and so the quotient or product is the nearest one (Clinger, PLDI 1990).
            result = static_cast<double>(value);
            result = exponent < 0 ? result / powers[-exponent] : result * powers[exponent];
            if (negative) { result = -result; }
        } else {
            const char *text = reinterpret_cast<const char *>(start);
            // Too small for a double is zero, too large is nothing.
            if (std::from_chars(text, reinterpret_cast<const char *>(at), result).ec != std::errc()) {
                if (exponent + count > 0) { return false; }
                result = 0;
            }
        }
        *out++ = word(TT_JSON_NUMBER, 0);
        std::memcpy(out++, &result, sizeof result);
        return true;
    }

    // A whole number of nineteen digits and more.
    static bool large(const uint8_t *start, const uint8_t *end, uint64_t *&out) noexcept {
        const char *from = reinterpret_cast<const char *>(start), *to = reinterpret_cast<const char *>(end);
        int64_t value;
        uint64_t positive;
        if (std::from_chars(from, to, value).ec == std::errc()) {
            *out++ = word(TT_JSON_INTEGER, 0);
            *out++ = static_cast<uint64_t>(value);
        } else if (*start != '-' && std::from_chars(from, to, positive).ec == std::errc()) {
            *out++ = word(TT_JSON_UNSIGNED, 0);
            *out++ = positive;
        } else {
            return false;
        }
        return true;
    }
};

} // namespace

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

int32_t tt_json_parse(tt_json_parser *parser, const tt_json_schema *schema, const uint8_t *bytes, size_t length,
                      tt_json_document *document, uint32_t *fields, uint32_t *repeated) noexcept {
    if (length > parser->max_length) { return TT_JSON_TOO_LONG; }
    if (!parser->reserve(length)) { return TT_JSON_NO_MEMORY; }
    uint8_t *const copy = parser->bytes.get();
    if (length > 0) { std::memcpy(copy, bytes, length); }
    std::memset(copy + length, 0, simdjson::SIMDJSON_PADDING);
    auto &simdjson = *parser->simdjson;
    if (simdjson.stage1(copy, length, simdjson::stage1_mode::regular) != simdjson::SUCCESS) { return TT_JSON_MALFORMED; }
    const uint32_t count = simdjson.n_structural_indexes;
    uint32_t *const tokens = simdjson.structural_indexes.get();
    tokens[count] = tokens[count + 1] = static_cast<uint32_t>(length);
    if (copy[tokens[0]] != '{') { return TT_JSON_NO_OBJECT; }
    // A token makes two words at most.
    if (!parser->reserve_words(2 * size_t(count))) { return TT_JSON_NO_MEMORY; }
    if (schema != nullptr) { std::memset(fields, 0, TT_JSON_MOST_FIELDS * sizeof *fields); }
    Walk walk(copy, length, tokens, parser->tape.get(), parser->max_depth, fields);
    const int32_t result = walk.document(schema == nullptr ? nullptr : &schema->top, tokens + count);
    if (result != TT_JSON_OK) { return result; }
    document->tape = parser->tape.get();
    document->bytes = copy;
    if (walk.repeated < 0) { return TT_JSON_OK; }
    *repeated = static_cast<uint32_t>(walk.repeated);
    return TT_JSON_REPEATED;
}

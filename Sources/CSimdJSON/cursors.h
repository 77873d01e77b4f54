// Two ways through a document. Both stand on a token: `here` is where it begins, `step` goes past one of a single
// character, `past` to the one behind `end`, `text` reads a text and goes past it, and `name` does so with its colon if
// it is expected.
#pragma once
#include "fields.h"
#include "numbers.h"
#include <charconv>
#include <cstdint>
#include <cstring>

namespace trimtab {

// Through any document, by the tokens that simdjson found in it. simdjson has seen to it that it is UTF-8, that every
// text ends, and that no control character is in one. The tokens end with two at the end of the document, where there is
// a zero: no token begins with one, so none behind them is looked at.
class TokenCursor {
  public:
    TokenCursor(uint8_t *bytes, size_t length, const uint32_t *tokens) noexcept
        : bytes(bytes), has_escapes(std::memchr(bytes, '\\', length) != nullptr), token(tokens) {}

    TT_INLINE const uint8_t *here() const noexcept { return bytes + *token; }
    TT_INLINE void step() noexcept { token++; }
    TT_INLINE void past(const uint8_t *) noexcept { token++; }
    const uint32_t *place() const noexcept { return token; }

    // Which names come is not foretold here.
    TT_INLINE bool name(const Guess &, uint64_t *&) noexcept { return false; }

    // The text ends with the last quote before the next token: only white space is between them.
    TT_INLINE bool text(uint64_t *&out) noexcept {
        const uint32_t start = *token++ + 1;
        uint32_t end = *token - 1;
        while (bytes[end] != '"') { end--; }
        if (end < start) { return false; }
        uint32_t length = end - start;
        if (has_escapes && !unescape(bytes + start, length)) { return false; }
        *out++ = text_word(start, length);
        return true;
    }

  private:
    uint8_t *bytes;
    bool has_escapes;
    const uint32_t *token;

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
};

// Through a document as we write it ourselves, in one go and without tokens: no white space, and in texts no escapes and
// nothing but ASCII. It gives up at anything else, the zeros behind the document too, of which there are thirty-two.
class PlainCursor {
  public:
    explicit PlainCursor(const uint8_t *bytes) noexcept : bytes(bytes), at(bytes) {}

    TT_INLINE const uint8_t *here() const noexcept { return at; }
    TT_INLINE void step() noexcept { at++; }
    TT_INLINE void past(const uint8_t *end) noexcept { at = end; }
    const uint8_t *place() const noexcept { return at; }

    TT_INLINE bool text(uint64_t *&out) noexcept {
        const uint8_t *const start = ++at;
        uint32_t ends;
        while ((ends = not_plain(at)) == 0) { at += 16; }
        at += __builtin_ctz(ends);
        if (*at != '"') { return false; }
        *out++ = text_word(static_cast<uint32_t>(start - bytes), static_cast<uint32_t>(at - start));
        at++;
        return true;
    }

    // Goes past a name and its colon if it is the one that is expected.
    TT_INLINE bool name(const Guess &expected, uint64_t *&out) noexcept {
        if (!expected.is_at(at)) { return false; }
        *out++ = expected.word | static_cast<uint32_t>(at + 1 - bytes);
        at += expected.size;
        return true;
    }

  private:
    const uint8_t *bytes;
    const uint8_t *at;

    // Which of sixteen bytes are a quote, a backslash, a control character or none of ASCII, which is below zero.
    static TT_INLINE uint32_t not_plain(const uint8_t *at) noexcept {
        const Block block = load_block(at);
        return bits((block == '"') | (block == '\\') | (block < ' '));
    }
};

} // namespace trimtab

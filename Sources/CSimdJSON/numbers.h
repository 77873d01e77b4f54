// Numbers and what may follow them.
#pragma once
#include "CSimdJSON.h"
#include <charconv>
#include <cstdint>
#include <cstring>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define TT_INLINE __attribute__((always_inline)) inline
#define TT_LAMBDA __attribute__((always_inline))

namespace trimtab {

// What may follow a number or a literal.
struct Ends {
    bool flags[256] = {};
    constexpr Ends() {
        for (const char *end = " \t\n\r,:[]{}"; *end != 0; end++) { flags[static_cast<uint8_t>(*end)] = true; }
    }
};
constexpr Ends ends;

// Powers of ten that a double holds exactly.
constexpr double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                             1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

TT_INLINE uint64_t word(uint64_t type, uint64_t rest) noexcept { return type << 56 | rest; }

// The same byte eight times.
constexpr uint64_t eight(uint8_t byte) noexcept { return 0x0101010101010101 * byte; }

// Eight bytes, the first one lowest: all machines that we run on are little-endian.
TT_INLINE uint64_t load(const uint8_t *at) noexcept {
    uint64_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

// Sixteen bytes.
typedef int8_t Block __attribute__((vector_size(16)));

TT_INLINE Block load_block(const uint8_t *at) noexcept {
    Block block;
    std::memcpy(&block, at, sizeof block);
    return block;
}

// A bit for each byte of a comparison's result, the first byte's lowest.
TT_INLINE uint32_t bits(Block flags) noexcept {
#ifdef __SSE2__
    return static_cast<uint32_t>(_mm_movemask_epi8(reinterpret_cast<__m128i>(flags)));
#else
    uint64_t halves[2];
    std::memcpy(halves, &flags, sizeof halves);
    for (uint64_t &half : halves) { half = (half & eight(0x80)) * 0x0002040810204081 >> 56; }
    return static_cast<uint32_t>(halves[0] | halves[1] << 8);
#endif
}

// Reads digits into a number, which overflows beyond nineteen of them; returns how many. Eight at once and without a branch
// for each, since how many come is hard to foretell; reads up to eight bytes behind the last.
TT_INLINE int64_t digits(const uint8_t *&at, uint64_t &value) noexcept {
    static constexpr uint64_t tens[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
    const uint8_t *const from = at;
    while (true) {
        uint64_t block = load(at) ^ eight('0');
        const uint64_t others = (block | (block + eight(0x76))) & eight(0x80);
        const int count = others == 0 ? 8 : __builtin_ctzll(others) / 8;
        if (count == 0) { break; }
        block <<= 64 - 8 * count;
        block = (block & eight(0x0F)) * 2561 >> 8;
        block = (block & 0x00FF00FF00FF00FF) * 6553601 >> 16;
        block = (block & 0x0000FFFF0000FFFF) * 42949672960001 >> 32;
        value = value * tens[count] + block;
        at += count;
        if (count < 8) { break; }
    }
    return at - from;
}

// What a number is, with the type of its word; 0 where it is none.
struct Whole {
    uint64_t type;
    uint64_t value;
};

// A whole number of nineteen digits and more.
inline Whole large(const uint8_t *start, const uint8_t *end) noexcept {
    const char *from = reinterpret_cast<const char *>(start), *to = reinterpret_cast<const char *>(end);
    int64_t value;
    uint64_t positive;
    if (std::from_chars(from, to, value).ec == std::errc()) { return {TT_JSON_INTEGER, static_cast<uint64_t>(value)}; }
    if (*start != '-' && std::from_chars(from, to, positive).ec == std::errc()) { return {TT_JSON_UNSIGNED, positive}; }
    return {0, 0};
}

struct Real {
    // NULL where it is none.
    const uint8_t *end;
    double value;
};

// The rest of a number behind its first digits, of which there are `count`.
inline Real real(const uint8_t *start, const uint8_t *at, bool negative, uint64_t value, int64_t count) noexcept {
    int64_t exponent = 0;
    if (*at == '.') {
        const int64_t fraction = digits(++at, value);
        if (fraction == 0) { return {nullptr, 0}; }
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
        if (at == from) { return {nullptr, 0}; }
        exponent += down ? -power : power;
    }
    if (!ends.flags[*at]) { return {nullptr, 0}; }
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
            if (exponent + count > 0) { return {nullptr, 0}; }
            result = 0;
        }
    }
    return {at, result};
}

// Reads a number and moves past it.
TT_INLINE bool number(const uint8_t *&at, uint64_t *&out) noexcept {
    const uint8_t *const start = at;
    const bool negative = *start == '-';
    const uint8_t *const first = start + negative;
    const uint8_t *end = first;
    uint64_t value = 0;
    const int64_t count = digits(end, value);
    if (count == 0 || (*first == '0' && count > 1)) { return false; }
    Whole whole = {TT_JSON_INTEGER, negative ? -value : value};
    if (!ends.flags[*end]) {
        const Real number = real(start, end, negative, value, count);
        if (number.end == nullptr) { return false; }
        end = number.end;
        whole.type = TT_JSON_NUMBER;
        std::memcpy(&whole.value, &number.value, sizeof number.value);
    } else if (count > 18) {
        whole = large(start, end);
        if (whole.type == 0) { return false; }
    }
    at = end;
    *out++ = word(whole.type, 0);
    *out++ = whole.value;
    return true;
}

} // namespace trimtab

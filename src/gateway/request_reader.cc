#include "gateway/request_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/check.h"

namespace holdfast::gateway {
namespace {

constexpr std::string_view head_end = "\r\n\r\n";
constexpr std::size_t chunk_digits_max = 8;

std::unexpected<RequestReader::Complaint> complain(int status, std::string message) {
    return std::unexpected(RequestReader::Complaint{status, std::move(message)});
}

}  // namespace

RequestReader::Outcome RequestReader::take(std::string_view bytes) {
    HF_CHECK(!done_);
    pending_.append(bytes);
    return head_ ? read_body() : read_head();
}

RequestReader::Outcome RequestReader::read_head() {
    auto from = searched_ < head_end.size() ? 0 : searched_ - head_end.size();
    auto end = pending_.find(head_end, from);
    searched_ = pending_.size();
    auto size = end == pending_.npos ? pending_.size() : end + head_end.size();
    if (size > limits_.head_bytes_max) {
        return complain(431,
                        fmt::format("the header is longer than {} bytes", limits_.head_bytes_max));
    }
    if (end == pending_.npos) return Progress::head;
    auto head = parse_head({pending_.data(), size}, limits_.headers_max);
    if (!head) return complain(400, head.error());
    pending_.erase(0, size);
    head_ = *std::move(head);
    chunk_ = Chunk::size;
    if (head_->body_bytes > limits_.body_bytes_max) return too_large();
    return read_body();
}

RequestReader::Outcome RequestReader::too_large() const {
    return complain(413, fmt::format("the body is longer than {} bytes", limits_.body_bytes_max));
}

RequestReader::Outcome RequestReader::read_body() {
    if (head_->in_chunks) return read_chunks();
    auto& body = head_->request.body;
    auto count = std::min<std::size_t>(pending_.size(), head_->body_bytes - body.size());
    body.append(pending_, 0, count);
    pending_.erase(0, count);
    done_ = body.size() == head_->body_bytes;
    return done_ ? Progress::done : Progress::body;
}

// The next line without its end; nothing if it is not whole yet.
std::expected<std::optional<std::string>, RequestReader::Complaint> RequestReader::take_line(
    std::size_t bytes_max) {
    auto end = pending_.find('\n');
    auto size = std::min(end, pending_.size());
    if (size > bytes_max + 1) return complain(400, "a chunk's size is too long");
    if (end == pending_.npos) return std::nullopt;
    if (end == 0 || pending_[end - 1] != '\r') return complain(400, "a chunk's line ends wrongly");
    auto line = pending_.substr(0, end - 1);
    pending_.erase(0, end + 1);
    return line;
}

RequestReader::Outcome RequestReader::begin_chunk(std::string_view line) {
    std::size_t size = 0;
    auto end = line.data() + line.size();
    auto [stopped, failed] = std::from_chars(line.data(), end, size, 16);
    if (failed != std::errc() || stopped != end) {
        return complain(400, "a chunk's size is no hexadecimal number");
    }
    if (size > limits_.body_bytes_max - head_->request.body.size()) return too_large();
    chunk_left_ = size;
    chunk_ = size == 0 ? Chunk::last_end : Chunk::data;
    return Progress::body;
}

RequestReader::Outcome RequestReader::read_chunks() {
    for (;;) {
        if (chunk_ == Chunk::data) {
            auto count = std::min(pending_.size(), chunk_left_);
            head_->request.body.append(pending_, 0, count);
            pending_.erase(0, count);
            chunk_left_ -= count;
            if (chunk_left_ > 0) return Progress::body;
            chunk_ = Chunk::data_end;
        }
        auto line = take_line(chunk_ == Chunk::size ? chunk_digits_max : 0);
        if (!line) return std::unexpected(line.error());
        if (!*line) return Progress::body;
        if (chunk_ == Chunk::size) {
            if (auto begun = begin_chunk(**line); !begun) return begun;
        } else if (chunk_ == Chunk::data_end) {
            chunk_ = Chunk::size;
        } else {
            done_ = true;
            return Progress::done;
        }
    }
}

bool RequestReader::take_expects_continue() {
    return head_ && std::exchange(head_->expects_continue, false);
}

RequestReader::Whole RequestReader::release() {
    HF_CHECK(done_);
    Whole whole{.request = std::move(head_->request),
                .keep_alive = head_->keep_alive,
                .chunks = !head_->old};
    head_.reset();
    searched_ = 0;
    done_ = false;
    return whole;
}

}  // namespace holdfast::gateway

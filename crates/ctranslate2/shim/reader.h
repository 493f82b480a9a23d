// The files of a model as CTranslate2 reads them, over the callbacks of the caller.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <istream>
#include <memory>
#include <streambuf>
#include <string>

#include <ctranslate2/models/model_reader.h>

#include "api.h"

namespace speech_flow {

// Bytes that come once, in order. Large reads go straight to their destination.
//
// CTranslate2 asks for the length by seeking to the end and back before it reads a variable, so those two seeks work,
// without moving anything; no other seek does.
class StreamBuffer : public std::streambuf {
 public:
  StreamBuffer(const sf_files& files, void* stream, uint64_t length)
      : _files(files), _stream(stream), _length(static_cast<std::streamoff>(length)) {}
  ~StreamBuffer() override { _files.close(_stream); }
  StreamBuffer(const StreamBuffer&) = delete;
  StreamBuffer& operator=(const StreamBuffer&) = delete;

 protected:
  int_type underflow() override {
    if (_at_end)
      return traits_type::eof();
    if (gptr() == egptr()) {
      const auto count = receive(_buffer.data(), _buffer.size());
      if (count <= 0)
        return traits_type::eof();
      setg(_buffer.data(), _buffer.data(), _buffer.data() + count);
    }
    return traits_type::to_int_type(*gptr());
  }

  std::streamsize xsgetn(char* into, std::streamsize size) override {
    if (_at_end)
      return 0;
    std::streamsize done = std::min<std::streamsize>(size, egptr() - gptr());
    std::copy_n(gptr(), done, into);
    setg(eback(), gptr() + done, egptr());
    while (done < size) {
      std::streamsize count = 0;
      if (size - done >= static_cast<std::streamsize>(_buffer.size())) {
        count = receive(into + done, size - done);
        if (count <= 0)
          break;
      } else {
        if (traits_type::eq_int_type(underflow(), traits_type::eof()))
          break;
        count = std::min<std::streamsize>(size - done, egptr() - gptr());
        std::copy_n(gptr(), count, into + done);
        setg(eback(), gptr() + count, egptr());
      }
      done += count;
    }
    return done;
  }

  pos_type seekoff(off_type offset, std::ios_base::seekdir from, std::ios_base::openmode) override {
    if (offset != 0)
      return pos_type(off_type(-1));
    if (from == std::ios_base::end)
      _at_end = true;
    else if (from != std::ios_base::cur)
      return pos_type(off_type(-1));
    return pos_type(_at_end ? _length : position());
  }

  pos_type seekpos(pos_type to, std::ios_base::openmode) override {
    if (off_type(to) != position())
      return pos_type(off_type(-1));
    _at_end = false;
    return to;
  }

 private:
  off_type position() const { return _received - (egptr() - gptr()); }

  std::streamsize receive(char* into, size_t room) {
    const auto count = _files.read(_stream, reinterpret_cast<uint8_t*>(into), room);
    if (count > 0)
      _received += count;
    return count;
  }

  const sf_files _files;
  void* const _stream;
  const off_type _length;
  off_type _received = 0;
  bool _at_end = false;
  std::array<char, 64 * 1024> _buffer;
};

class Stream : public std::istream {
 public:
  Stream(const sf_files& files, void* stream, uint64_t length)
      : std::istream(nullptr), _buffer(files, stream, length) {
    rdbuf(&_buffer);
  }

 private:
  StreamBuffer _buffer;
};

class Reader : public ctranslate2::models::ModelReader {
 public:
  explicit Reader(const sf_files& files) : _files(files) {}

  std::string get_model_id() const override { return std::string(_files.name, _files.name_len); }

  std::unique_ptr<std::istream> get_file(const std::string& name, const bool) override {
    void* stream = nullptr;
    uint64_t length = 0;
    if (_files.open(_files.context, name.data(), name.size(), &stream, &length) != 1)
      return nullptr;
    return std::make_unique<Stream>(_files, stream, length);
  }

 private:
  const sf_files _files;
};

}  // namespace speech_flow

// Tensors: outputs of encoders. Their numbers never change.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include <ctranslate2/storage_view.h>

#include "answer.h"

namespace speech_flow {

using ctranslate2::Device;
using ctranslate2::DataType;
using ctranslate2::Shape;
using ctranslate2::StorageView;

// Memory of some rows of a tensor, seen as a tensor that does not own it.
inline StorageView window(const StorageView& of, ctranslate2::dim_t row, Shape shape) {
  const auto row_size = of.dim(0) == 0 ? 0 : of.size() / of.dim(0);
  auto* bytes = static_cast<char*>(const_cast<void*>(of.buffer()));
  StorageView view(of.dtype(), of.device());
  view.view(static_cast<void*>(bytes + row * row_size * of.item_size()), std::move(shape));
  return view;
}

// Rows of a storage that several tensors may share.
struct Rows {
  std::shared_ptr<const StorageView> storage;
  ctranslate2::dim_t first;
};

// What a handle points to. Its numbers never change, but they may move, which is why a reader takes `rows` once: they
// stay for as long as it keeps them.
class Tensor {
 public:
  Tensor(Rows rows, Shape shape) : _shape(std::move(shape)), _rows(std::move(rows)) {}

  const Shape& shape() const {
    return _shape;
  }

  Rows rows() const {
    const std::lock_guard<std::mutex> lock(_mutex);
    return _rows;
  }

  // To where the same numbers are.
  void move_to(Rows rows) const {
    const std::lock_guard<std::mutex> lock(_mutex);
    std::swap(_rows, rows);
  }

 private:
  const Shape _shape;
  mutable std::mutex _mutex;
  mutable Rows _rows;
};

inline const Tensor& tensor(const void* handle) {
  return *static_cast<const Tensor*>(handle);
}

// Gives a tensor to the caller, with its shape in the answer.
inline void give(StorageView value, void** handle, Store& store) {
  Shape shape = value.shape();
  store.numbers.assign(shape.begin(), shape.end());
  *handle = new Tensor({std::make_shared<StorageView>(std::move(value)), 0}, std::move(shape));
}

inline void tensor_free(void* handle) noexcept {
  delete static_cast<Tensor*>(handle);
}

inline void tensor_rows(const void* handle, uint64_t start, uint64_t end, void** rows, sf_answer* answer) noexcept {
  run(answer, [&](Store& store) {
    Shape shape = tensor(handle).shape();
    if (start >= end || end > static_cast<uint64_t>(shape.at(0)))
      throw std::invalid_argument("rows out of range");
    shape[0] = static_cast<ctranslate2::dim_t>(end - start);
    const auto [storage, first] = tensor(handle).rows();
    const ctranslate2::ScopedDeviceSetter device(storage->device(), storage->device_index());
    give(window(*storage, first + static_cast<ctranslate2::dim_t>(start), std::move(shape)).sync_copy(), rows, store);
  });
}

// Several tensors as one batch, in their order.
class Batch {
 public:
  explicit Batch(const sf_tensors& tensors) {
    if (tensors.len == 0)
      throw std::invalid_argument("no tensors to join");
    std::vector<Rows> parts;
    bool in_place = true;
    _shape = tensor(tensors.handles[0]).shape();
    _shape.at(0) = 0;
    for (size_t i = 0; i < tensors.len; ++i) {
      parts.push_back(tensor(tensors.handles[i]).rows());
      const Shape& shape = tensor(tensors.handles[i]).shape();
      const StorageView &first = *parts.front().storage, &part = *parts.back().storage;
      const bool fits = part.dtype() == first.dtype() && part.device() == first.device()
                        && shape.size() == _shape.size() && std::equal(shape.begin() + 1, shape.end(), _shape.begin() + 1);
      if (!fits)
        throw std::invalid_argument("tensors of different shapes, devices or number formats do not join");
      in_place = in_place && parts.back().storage == parts.front().storage
                 && parts.back().first == parts.front().first + _shape[0];
      _shape[0] += shape[0];
    }
    _rows = parts.front();
    // Not where others were in the same memory, which is kept for them alone once these have left it.
    in_place = in_place && _shape[0] == _rows.storage->dim(0);
    if (!in_place)
      join(tensors, parts);
  }

  // Of its memory, which it must outlive.
  StorageView view() const {
    return window(*_rows.storage, _rows.first, _shape);
  }

 private:
  // The tensors move into the batch, so that what they were in is free while it is computed.
  void join(const sf_tensors& tensors, std::vector<Rows>& parts) {
    const StorageView& first = *parts.front().storage;
    const ctranslate2::ScopedDeviceSetter device(first.device(), first.device_index());
    const auto joined = std::make_shared<StorageView>(_shape, first.dtype(), first.device());
    ctranslate2::dim_t row = 0;
    for (size_t i = 0; i < tensors.len; ++i) {
      const Shape& shape = tensor(tensors.handles[i]).shape();
      window(*joined, row, shape).copy_from(window(*parts[i].storage, parts[i].first, shape), /*synchronous=*/true);
      row += shape[0];
    }
    row = 0;
    for (size_t i = 0; i < tensors.len; ++i) {
      tensor(tensors.handles[i]).move_to({joined, row});
      row += tensor(tensors.handles[i]).shape()[0];
    }
    _rows = {joined, 0};
  }

  Shape _shape;
  Rows _rows;
};

inline void tensor_read(const void* handle, float* into, size_t len, sf_answer* answer) noexcept {
  run(answer, [&](Store&) {
    const Rows rows = tensor(handle).rows();
    const StorageView from = window(*rows.storage, rows.first, tensor(handle).shape());
    if (static_cast<size_t>(from.size()) != len)
      throw std::invalid_argument("room for another number of floats");
    const auto copy = [&](const StorageView& on_cpu) {
      std::memcpy(into, on_cpu.data<float>(), len * sizeof(float));
    };
    if (from.device() == Device::CPU && from.dtype() == DataType::FLOAT32)
      return copy(from);
    const ctranslate2::ScopedDeviceSetter device(rows.storage->device(), rows.storage->device_index());
    StorageView on_cpu = from.device() == Device::CPU ? from : from.to(Device::CPU);
    ctranslate2::synchronize_stream(from.device());
    copy(on_cpu.to_float32());
  });
}

}  // namespace speech_flow

// Tensors: outputs of encoders, immutable once made.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

#include <ctranslate2/storage_view.h>

#include "answer.h"

namespace speech_flow {

using ctranslate2::Device;
using ctranslate2::DataType;
using ctranslate2::Shape;
using ctranslate2::StorageView;

inline const StorageView& tensor(const void* handle) {
  return *static_cast<const StorageView*>(handle);
}

// Gives a tensor to the caller, with its shape in the answer.
inline void give(StorageView value, void** handle, Store& store) {
  store.numbers.assign(value.shape().begin(), value.shape().end());
  *handle = new StorageView(std::move(value));
}

// Memory of a tensor, from a row on, seen as a tensor that does not own it. The caller must not outlive it.
inline StorageView window(const StorageView& of, ctranslate2::dim_t row, Shape shape) {
  const auto row_size = of.dim(0) == 0 ? 0 : of.size() / of.dim(0);
  auto* bytes = static_cast<char*>(const_cast<void*>(of.buffer()));
  StorageView view(of.dtype(), of.device());
  view.view(static_cast<void*>(bytes + row * row_size * of.item_size()), std::move(shape));
  return view;
}

inline void tensor_free(void* handle) noexcept {
  delete static_cast<StorageView*>(handle);
}

inline void tensor_rows(const void* handle, uint64_t start, uint64_t end, void** rows, sf_answer* answer) noexcept {
  run(answer, [&](Store& store) {
    const StorageView& from = tensor(handle);
    const ctranslate2::ScopedDeviceSetter device(from.device(), from.device_index());
    Shape shape = from.shape();
    if (start >= end || end > static_cast<uint64_t>(shape.at(0)))
      throw std::invalid_argument("rows out of range");
    shape[0] = static_cast<ctranslate2::dim_t>(end - start);
    give(window(from, start, std::move(shape)).sync_copy(), rows, store);
  });
}

// The batches of tensors in one, in their order. A tensor that is alone is not copied: it must outlive what comes out.
inline StorageView join(const sf_tensors& tensors) {
  if (tensors.len == 0)
    throw std::invalid_argument("no tensors to join");
  const StorageView& first = tensor(tensors.handles[0]);
  if (tensors.len == 1)
    return window(first, 0, first.shape());
  const ctranslate2::ScopedDeviceSetter device(first.device(), first.device_index());
  Shape shape = first.shape();
  shape.at(0) = 0;
  for (size_t i = 0; i < tensors.len; ++i) {
    const StorageView& part = tensor(tensors.handles[i]);
    const bool fits = part.dtype() == first.dtype() && part.device() == first.device() && part.rank() == first.rank()
                      && std::equal(shape.begin() + 1, shape.end(), part.shape().begin() + 1);
    if (!fits)
      throw std::invalid_argument("tensors of different shapes, devices or number formats do not join");
    shape[0] += part.dim(0);
  }
  StorageView joined(std::move(shape), first.dtype(), first.device());
  ctranslate2::dim_t row = 0;
  for (size_t i = 0; i < tensors.len; ++i) {
    const StorageView& part = tensor(tensors.handles[i]);
    window(joined, row, part.shape()).copy_from(part, /*synchronous=*/true);
    row += part.dim(0);
  }
  return joined;
}

inline void tensor_read(const void* handle, float* into, size_t len, sf_answer* answer) noexcept {
  run(answer, [&](Store&) {
    const StorageView& from = tensor(handle);
    if (static_cast<size_t>(from.size()) != len)
      throw std::invalid_argument("room for another number of floats");
    const auto copy = [&](const StorageView& on_cpu) {
      std::memcpy(into, on_cpu.data<float>(), len * sizeof(float));
    };
    if (from.device() == Device::CPU && from.dtype() == DataType::FLOAT32)
      return copy(from);
    const ctranslate2::ScopedDeviceSetter device(from.device(), from.device_index());
    StorageView on_cpu = from.device() == Device::CPU ? from : from.to(Device::CPU);
    ctranslate2::synchronize_stream(from.device());
    copy(on_cpu.to_float32());
  });
}

}  // namespace speech_flow

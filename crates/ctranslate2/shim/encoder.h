// Whisper's encoder on a processor, in little memory, most of which stays in the cache.
//
// CTranslate2 computes the scores of all heads and frames at once: `heads * 1500 * 1500` floats a window, 54 MB for
// `tiny` and 180 MB for `large`, which go to memory and back. Here a head's scores are computed for some queries at a
// time, and what comes of them takes the queries' place. Projections and feed-forward network take some frames at a
// time too, as their outputs are wider than what goes in, and are there twice where the weights are integers. All else
// (convolutions, matrix products, norms, in each number format) is CTranslate2's own layers, put together as in its
// `src/layers/whisper.cc`, `transformer.cc` and `attention.cc`. The numbers are CTranslate2's to the last digits; in
// int16, where it scales all frames alike, each part has a scale of its own.
//
// Measured with `tiny.en`, int8, AVX2, one window: 0.67 to 0.55 s with one thread, 0.38 to 0.31 s with two.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <ctranslate2/layers/transformer.h>
#include <ctranslate2/models/model.h>
#include <ctranslate2/primitives.h>

namespace speech_flow {

namespace layers = ctranslate2::layers;

using ctranslate2::Device;
using ctranslate2::StorageView;
using ctranslate2::dim_t;
using ctranslate2::models::Model;

// Queries of each thread whose scores are computed at a time: 750 kB of them.
constexpr dim_t QUERIES = 128;
// Frames of each thread, of so many threads at most, that are projected, and fed forward, at a time. Fewer take longer,
// as the weights of each product are packed anew; with all frames at once it would be more memory than it saves.
constexpr dim_t FRAMES = 256, SHARES = 4;
constexpr auto GELU = ctranslate2::ops::ActivationType::GELU;

// What layers compute in, one after the other.
struct Scratch {
  // [batch, frames, queries | keys | values], of which each is [heads, size of a head].
  StorageView projected;
  // [queries, frames].
  StorageView scores;
  // [some frames, width], and as wide as the feed-forward network.
  StorageView normed, attended, wide;
};

// Frames of `of`, which are floats, of whatever windows: seen as [count, width], in its memory.
inline StorageView part_of(StorageView& of, dim_t start, dim_t count) {
  const dim_t width = of.dim(-1);
  return StorageView({count, width}, of.data<float>() + start * width);
}

class EncoderLayer {
 public:
  EncoderLayer(const Model& model, const std::string& scope, dim_t heads, dim_t threads)
      : _heads(heads),
        _queries(QUERIES * threads),
        _frames(FRAMES * std::min(threads, SHARES)),
        _norm(model, scope + "/self_attention/layer_norm"),
        _in(model, scope + "/self_attention/linear_0"),
        _out(model, scope + "/self_attention/linear_1", nullptr, /*is_layer_out=*/true),
        _feed_norm(model, scope + "/ffn/layer_norm"),
        _feed_in(model, scope + "/ffn/linear_0", &GELU),
        _feed_out(model, scope + "/ffn/linear_1", nullptr, /*is_layer_out=*/true),
        _is_gated(model.layer_exists(scope + "/ffn/linear_0_noact")),
        _scale(model.get_attribute_with_default<float>(
            scope + "/self_attention/queries_scale",
            1.f / std::sqrt(static_cast<float>(_out.output_size() / heads)))) {}

  bool fits(dim_t width) const {
    return width % _heads == 0 && _in.output_size() == 3 * width && _out.output_size() == width
           && _feed_out.output_size() == width && !_is_gated;
  }

  // `x`: [batch, frames, width], in place.
  void operator()(StorageView& x, Scratch& scratch) const {
    auto& [projected, scores, normed, attended, wide] = scratch;
    projected.resize({x.dim(0), x.dim(1), _in.output_size()});
    const dim_t frames = x.dim(0) * x.dim(1);
    for (dim_t start = 0; start < frames; start += _frames) {
      const dim_t count = std::min(_frames, frames - start);
      StorageView into = part_of(projected, start, count);
      _norm(part_of(x, start, count), normed);
      _in(normed, into);
    }
    attend(projected, scores);
    for (dim_t start = 0; start < frames; start += _frames) {
      const dim_t count = std::min(_frames, frames - start);
      StorageView part = part_of(x, start, count);
      take_context(projected, start, count, normed);
      _out(normed, attended, &part);
      _feed_norm(attended, normed);
      _feed_in(normed, wide);
      _feed_out(wide, part, &attended);
    }
  }

 private:
  // What comes of the queries takes their place: each head's are not read again.
  void attend(StorageView& projected, StorageView& scores) const {
    using primitives = ctranslate2::primitives<Device::CPU>;
    const dim_t frames = projected.dim(1), row = projected.dim(2), width = row / 3, size = width / _heads;
    const ctranslate2::ops::SoftMax softmax;
    for (dim_t of_all = 0; of_all < projected.dim(0) * _heads; ++of_all) {
      const dim_t window = of_all / _heads, head = of_all % _heads;
      float* queries = projected.data<float>() + window * frames * row + head * size;
      const float* keys = queries + width;
      const float* values = keys + width;
      for (dim_t start = 0; start < frames; start += _queries) {
        const dim_t count = std::min(_queries, frames - start);
        float* some = queries + start * row;
        scores.resize({count, frames});
        primitives::gemm(false, false, /*transpose_a=*/false, /*transpose_b=*/true, count, frames, size, _scale,
                         some, row, keys, row, 0.f, scores.data<float>(), frames);
        softmax(scores);
        primitives::gemm(false, false, /*transpose_a=*/false, /*transpose_b=*/false, count, size, frames, 1.f,
                         scores.data<float>(), frames, values, row, 0.f, some, row);
      }
    }
  }

  static void take_context(const StorageView& projected, dim_t start, dim_t count, StorageView& into) {
    const dim_t row = projected.dim(2), width = row / 3;
    into.resize({count, width});
    for (dim_t frame = 0; frame < count; ++frame)
      std::copy_n(projected.data<float>() + (start + frame) * row, width, into.data<float>() + frame * width);
  }

  const dim_t _heads, _queries, _frames;
  const layers::LayerNorm _norm;
  const layers::Dense _in, _out;
  const layers::LayerNorm _feed_norm;
  const layers::Dense _feed_in, _feed_out;
  const bool _is_gated;
  const float _scale;
};

// One for all replicas: nothing of it changes.
class Encoder {
 public:
  // Nothing where CTranslate2's own encoder has to do it: on a GPU, and for a model that is of another shape.
  static std::unique_ptr<Encoder> of(std::shared_ptr<const Model> model, size_t threads) {
    if (model->device() != Device::CPU)
      return nullptr;
    auto encoder = std::make_unique<Encoder>(std::move(model), std::max<dim_t>(threads, 1));
    const dim_t width = encoder->_norm.output_size();
    const bool fits = encoder->_norm.output_type() == ctranslate2::DataType::FLOAT32
                      && encoder->_conv2.output_size() == width && encoder->_positions.output_size() == width
                      && std::all_of(encoder->_layers.begin(), encoder->_layers.end(),
                                     [&](const auto& layer) { return layer->fits(width); });
    return fits ? std::move(encoder) : nullptr;
  }

  Encoder(std::shared_ptr<const Model> model, dim_t threads)
      : _model(std::move(model)),
        _conv1(*_model, "encoder/conv1", /*stride=*/1, /*padding=*/1, /*dilation=*/1, /*groups=*/1, &GELU),
        _conv2(*_model, "encoder/conv2", /*stride=*/2, /*padding=*/1, /*dilation=*/1, /*groups=*/1, &GELU),
        _positions(*_model, "encoder/position_encodings"),
        _layers(layers::build_layers_list<const EncoderLayer>(
            *_model, "encoder/layer", dim_t{_model->get_attribute_with_default<int32_t>("encoder/num_heads", 8)},
            threads)),
        _norm(*_model, "encoder/layer_norm") {}

  // `mel`: [batch, bins, frames]. Gives [batch, frames / 2, width].
  StorageView operator()(const StorageView& mel) {
    if (mel.dim(2) > 2 * _positions.num_positions())
      throw std::invalid_argument("a window has more frames than the model takes");
    StorageView x, next;
    _conv1(mel, x);
    _conv2(x, next);
    x.release();
    ctranslate2::ops::Transpose({0, 2, 1})(next, x);
    next.release();
    _positions(x);
    run_layers(x);
    _norm(x, next);
    return next;
  }

 private:
  // Apart, so that what they compute in is free before the output is taken.
  void run_layers(StorageView& x) const {
    Scratch scratch;
    for (const auto& layer : _layers)
      (*layer)(x, scratch);
  }

  const std::shared_ptr<const Model> _model;
  const layers::Conv1D _conv1, _conv2;
  layers::PositionEmbedding _positions;
  const std::vector<std::unique_ptr<const EncoderLayer>> _layers;
  const layers::LayerNorm _norm;
};

}  // namespace speech_flow

// Wav2Vec2 encoders.
#pragma once

#include <future>

#include <ctranslate2/models/wav2vec2.h>

#include "model.h"
#include "tensor.h"

namespace speech_flow {

using ctranslate2::models::Wav2Vec2;

inline void wav2vec2_load(const sf_files* files, const sf_config* config, void** handle, sf_answer* answer) noexcept {
  run(answer, [&](Store& store) {
    auto encoder = load<Wav2Vec2>(files, config);
    const auto& model = *encoder->get_first_replica().model();
    // Without these the encoder takes features instead of samples, or gives logits instead of hidden states.
    const auto has = [&](const std::string& name) {
      return model.get_variable_if_exists(name) || model.get_variable_if_exists(name + "_packed");
    };
    if (!has("encoder/fp_projection/weight") || has("encoder/lm_head/weight"))
      throw InvalidModel("`model.bin` is not an encoder from samples to hidden states");
    store.text = ctranslate2::compute_type_to_str(model.effective_compute_type());
    *handle = encoder.release();
  });
}

inline void wav2vec2_free(void* handle) noexcept {
  delete static_cast<Wav2Vec2*>(handle);
}

inline void wav2vec2_encode(void* handle, const float* samples, uint64_t batch, uint64_t length, void** output,
                            sf_answer* answer) noexcept {
  run(answer, [&](Store& store) {
    // Only read: the call copies it before it hands it to a replica.
    const StorageView features({static_cast<ctranslate2::dim_t>(batch), 1, static_cast<ctranslate2::dim_t>(length)},
                               const_cast<float*>(samples));
    give(static_cast<Wav2Vec2*>(handle)->encode(features, /*to_cpu=*/false).get(), output, store);
  });
}

}  // namespace speech_flow

// Whisper models.
#pragma once

#include <future>
#include <string>
#include <utility>
#include <vector>

#include <ctranslate2/models/whisper.h>

#include "encoder.h"
#include "model.h"
#include "tensor.h"

namespace speech_flow {

using ctranslate2::models::Whisper;
using ctranslate2::models::WhisperReplica;

struct LoadedWhisper {
  std::unique_ptr<Whisper> pool;
  // Ours, where there is one for the model.
  std::unique_ptr<Encoder> encoder;
};

inline LoadedWhisper& loaded(void* handle) {
  return *static_cast<LoadedWhisper*>(handle);
}

// CTranslate2 reads these fields of `config.json` without looking whether they are there, and uses the numbers as
// indices. So they are checked once, when the model is loaded.
inline void check_tokens(const nlohmann::json& config, const char* field, uint64_t vocabulary) {
  const auto found = config.find(field);
  if (found == config.end() || !found->is_array())
    throw InvalidModel(std::string("`config.json` has no list `") + field + "`");
  for (const auto& token : *found) {
    if (!token.is_number_integer() || token.get<int64_t>() < 0
        || static_cast<uint64_t>(token.get<int64_t>()) >= vocabulary)
      throw InvalidModel(std::string("`config.json` has a wrong token in `") + field + "`");
  }
}

inline void check_alignment_heads(const ctranslate2::models::Model& model) {
  const auto heads = model.config.find("alignment_heads");
  if (heads == model.config.end())
    return;
  int64_t layers = 0;
  while (model.layer_exists("decoder/layer_" + std::to_string(layers)))
    ++layers;
  const auto heads_of_layer = model.get_attribute_with_default<int32_t>("decoder/num_heads", 8);
  const auto is_index = [](const nlohmann::json& value, int64_t end) {
    return value.is_number_integer() && value.get<int64_t>() >= 0 && value.get<int64_t>() < end;
  };
  bool valid = heads->is_array();
  if (valid) {
    for (const auto& head : *heads)
      valid = valid && head.is_array() && head.size() == 2 && is_index(head[0], layers)
              && is_index(head[1], heads_of_layer);
  }
  if (!valid)
    throw InvalidModel("`config.json` has a wrong list `alignment_heads`");
}

inline void whisper_load(const sf_files* files, const sf_config* config, void** handle, sf_answer* answer) noexcept {
  run(answer, [&](Store& store) {
    auto whisper = load<Whisper>(files, config);
    const auto& replica = whisper->get_first_replica();
    const auto& model = *replica.model();
    const auto& vocabulary = dynamic_cast<const ctranslate2::models::WhisperModel&>(model).get_vocabulary();
    const uint64_t tokens = vocabulary.size();
    if (rows_of(model, "decoder/embeddings/weight") < tokens)
      throw InvalidModel("the vocabulary has more tokens than `model.bin`");
    if (!model.config.is_object())
      throw InvalidModel("`config.json` is not an object");
    check_tokens(model.config, "suppress_ids", tokens);
    check_tokens(model.config, "suppress_ids_begin", tokens);
    if (replica.is_multilingual())
      check_tokens(model.config, "lang_ids", tokens);
    check_alignment_heads(model);
    const uint64_t positions = rows_of(model, "decoder/position_encodings/encodings");
    const uint64_t frames = 2 * rows_of(model, "encoder/position_encodings/encodings");
    store.numbers = {replica.n_mels(), replica.is_multilingual(), replica.num_languages(), tokens, positions, frames};
    store.text = ctranslate2::compute_type_to_str(model.effective_compute_type());
    auto encoder = Encoder::of(replica.model(), config->intra_threads);
    *handle = new LoadedWhisper{std::move(whisper), std::move(encoder)};
  });
}

inline void whisper_free(void* handle) noexcept {
  delete static_cast<LoadedWhisper*>(handle);
}

inline void whisper_encode(void* handle, const float* mel, uint64_t batch, uint64_t values, void** output,
                           sf_answer* answer) noexcept {
  run(answer, [&](Store& store) {
    auto& [pool, encoder] = loaded(handle);
    const auto mels = static_cast<ctranslate2::dim_t>(pool->n_mels());
    const auto rows = static_cast<ctranslate2::dim_t>(batch);
    // Only read, and there until the call is answered.
    const StorageView features({rows, mels, static_cast<ctranslate2::dim_t>(values) / (rows * mels)},
                               const_cast<float*>(mel));
    auto encoded = encoder ? pool->post<StorageView>([&](WhisperReplica&) { return (*encoder)(features); })
                           : pool->encode(features, /*to_cpu=*/false);
    give(encoded.get(), output, store);
  });
}

inline std::vector<std::vector<size_t>> unpack(const sf_tokens& lists) {
  std::vector<std::vector<size_t>> unpacked;
  unpacked.reserve(lists.len);
  const uint32_t* next = lists.tokens;
  for (size_t i = 0; i < lists.len; ++i) {
    unpacked.emplace_back(next, next + lists.counts[i]);
    next += lists.counts[i];
  }
  return unpacked;
}

inline void whisper_detect_language(void* handle, const void* encoded, sf_answer* answer) noexcept {
  run(answer, [&](Store& store) {
    for (auto& row : loaded(handle).pool->detect_language(tensor(encoded))) {
      const auto languages = row.get();
      store.numbers.push_back(languages.size());
      for (const auto& [token, probability] : languages) {
        store.text += token + "\n";
        store.floats.push_back(probability);
      }
    }
  });
}

inline void whisper_generate(void* handle, const void* encoded, const sf_tokens* prompts, const sf_options* options,
                             sf_answer* answer) noexcept {
  run(answer, [&](Store& store) {
    ctranslate2::models::WhisperOptions given;
    given.beam_size = options->beam_size;
    given.patience = options->patience;
    given.length_penalty = options->length_penalty;
    given.repetition_penalty = options->repetition_penalty;
    given.no_repeat_ngram_size = options->no_repeat_ngram_size;
    given.max_length = options->max_length;
    given.sampling_topk = options->sampling_topk;
    given.sampling_temperature = options->sampling_temperature;
    given.num_hypotheses = options->num_hypotheses;
    given.return_scores = true;
    given.return_no_speech_prob = options->return_no_speech_prob != 0;
    given.max_initial_timestamp_index = options->max_initial_timestamp_index;
    given.suppress_blank = options->suppress_blank != 0;
    given.suppress_tokens.assign(options->suppress_tokens, options->suppress_tokens + options->suppress_tokens_len);

    const StorageView& windows = tensor(encoded);
    const auto starts = unpack(*prompts);
    if (starts.empty() || static_cast<ctranslate2::dim_t>(starts.size()) != windows.dim(0))
      throw std::invalid_argument("as many prompts as windows are needed");
    // `Whisper::generate` would copy the windows. They are there until the call is answered, and the decoder only reads
    // them, in its first step: `TransformerDecoder::decode` in `src/layers/transformer.cc`.
    auto rows = loaded(handle).pool->post_batch<ctranslate2::models::WhisperGenerationResult>(
        [&](WhisperReplica& replica) {
          try {
            return replica.generate(window(windows, 0, windows.shape()), starts, given);
          } catch (...) {
            // A GPU may still be reading them.
            ctranslate2::synchronize_stream(windows.device());
            throw;
          }
        },
        starts.size());
    for (auto& row : rows) {
      const auto result = row.get();
      store.numbers.push_back(result.sequences_ids.size());
      store.floats.push_back(result.no_speech_prob);
      for (size_t i = 0; i < result.sequences_ids.size(); ++i) {
        const auto& tokens = result.sequences_ids[i];
        store.numbers.push_back(tokens.size());
        store.numbers.insert(store.numbers.end(), tokens.begin(), tokens.end());
        store.floats.push_back(result.scores.at(i));
      }
    }
  });
}

inline void whisper_align(void* handle, const void* encoded, const sf_tokens* start, const sf_tokens* texts,
                          const size_t* num_frames, uint64_t median_filter_width, sf_answer* answer) noexcept {
  run(answer, [&](Store& store) {
    std::vector<size_t> frames(num_frames, num_frames + texts->len);
    auto rows = loaded(handle).pool->align(tensor(encoded), unpack(*start).at(0), unpack(*texts),
                                           std::move(frames),
                                           static_cast<ctranslate2::dim_t>(median_filter_width));
    for (auto& row : rows) {
      const auto result = row.get();
      store.numbers.push_back(result.alignments.size());
      for (const auto& [token, frame] : result.alignments) {
        store.numbers.push_back(token);
        store.numbers.push_back(frame);
      }
      store.numbers.push_back(result.text_token_probs.size());
      store.floats.insert(store.floats.end(), result.text_token_probs.begin(), result.text_token_probs.end());
    }
  });
}

}  // namespace speech_flow

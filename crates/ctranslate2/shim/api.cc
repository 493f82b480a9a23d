// The table of functions.

#include "api.h"

#include <cstdlib>

#include <ctranslate2/devices.h>
#include <ctranslate2/logging.h>
#include <ctranslate2/types.h>

#include "answer.h"
#include "tensor.h"
#include "wav2vec2.h"
#include "whisper.h"

#ifndef SPEECH_FLOW_CT2_VERSION
#  error "define SPEECH_FLOW_CT2_VERSION as the version of CTranslate2 whose headers are used"
#endif

namespace speech_flow {
namespace {

void release(sf_answer* answer) noexcept {
  delete static_cast<Store*>(answer->owner);
  *answer = sf_answer{};
}

Device device_of(int32_t device) {
  return device == 1 ? Device::CUDA : Device::CPU;
}

void device_count(int32_t device, sf_answer* answer) noexcept {
  run(answer, [&](Store& store) {
    store.numbers.push_back(std::max(0, ctranslate2::get_device_count(device_of(device))));
  });
}

// Source: `get_supported_compute_types` in CTranslate2's Python module.
void compute_types(int32_t device, int32_t index, sf_answer* answer) noexcept {
  run(answer, [&](Store& store) {
    const Device on = device_of(device);
    const auto add = [&](const char* name) { store.text += std::string(name) + "\n"; };
    const bool float16 = ctranslate2::mayiuse_float16(on, index);
    const bool bfloat16 = ctranslate2::mayiuse_bfloat16(on, index);
    add("float32");
    if (float16)
      add("float16");
    if (bfloat16)
      add("bfloat16");
    if (ctranslate2::mayiuse_int16(on, index))
      add("int16");
    if (ctranslate2::mayiuse_int8(on, index)) {
      add("int8");
      add("int8_float32");
      if (float16)
        add("int8_float16");
      if (bfloat16)
        add("int8_bfloat16");
    }
  });
}

const sf_api api = {
    SPEECH_FLOW_CT2_ABI,
    sizeof(sf_api),
    SPEECH_FLOW_CT2_VERSION,
    release,
    device_count,
    compute_types,
    whisper_load,
    whisper_free,
    whisper_encode,
    whisper_detect_language,
    whisper_generate,
    whisper_align,
    wav2vec2_load,
    wav2vec2_free,
    wav2vec2_encode,
    tensor_free,
    tensor_rows,
    tensor_read,
};

}  // namespace
}  // namespace speech_flow

const sf_api* speech_flow_ct2_api(uint32_t abi) {
  try {
    // The caller learns everything from the answers; stderr is not ours.
    if (!std::getenv("CT2_VERBOSE"))
      ctranslate2::set_log_level(ctranslate2::LogLevel::Critical);
  } catch (...) {
    // A wrong CT2_VERBOSE: the engine works, its log is as it comes.
  }
  return abi == SPEECH_FLOW_CT2_ABI ? &speech_flow::api : nullptr;
}

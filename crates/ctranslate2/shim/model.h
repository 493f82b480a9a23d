// What both kinds of model share: loading, and the compute type.
#pragma once

#include <memory>
#include <string>

#include <ctranslate2/models/model.h>
#include <ctranslate2/replica_pool.h>

#include "answer.h"
#include "reader.h"

namespace speech_flow {

// Loads the model and starts its replicas.
template <typename Pool>
std::unique_ptr<Pool> load(const sf_files* files, const sf_config* config) {
  ctranslate2::models::ModelLoader loader(std::make_shared<Reader>(*files));
  loader.device = config->device == 1 ? ctranslate2::Device::CUDA : ctranslate2::Device::CPU;
  loader.device_indices = {config->device_index};
  loader.num_replicas_per_device = config->replicas;
  loader.compute_type = static_cast<ctranslate2::ComputeType>(config->compute_type);

  ctranslate2::ReplicaPoolConfig pool_config;
  pool_config.num_threads_per_replica = config->intra_threads;
  // A caller waits for its own result, so the queue is as long as there are callers.
  pool_config.max_queued_batches = -1;
  return std::make_unique<Pool>(loader, pool_config);
}

// Size of the first dimension of a variable that the model must have.
inline uint64_t rows_of(const ctranslate2::models::Model& model, const std::string& name) {
  const auto* variable = model.get_variable_if_exists(name);
  if (!variable || variable->rank() == 0)
    throw InvalidModel("`model.bin` has no variable `" + name + "`");
  return variable->dim(0);
}

}  // namespace speech_flow

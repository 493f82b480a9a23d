//! An artifact as a place that models come from: what the model manager asks of a hub, answered by a registry.

use std::ops::Range;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use speech_flow_model_hub::headers::parse_content_range;
use speech_flow_model_hub::{
    FileBody, FileRequest, HubError, RefKind, RepoInfo, RepoRef, RequestId, Source, Unexpected,
};
use speech_flow_model_types::{CommitHash, Digest, RemoteFile, RepoId, Revision};
use tokio::sync::{Mutex, OnceCell};
use url::Url;

use crate::artifact::{self, Artifact, Layer, PackedModel, Read};
use crate::documents::sha256;
use crate::error::{Fault, OciError};
use crate::pack::MAX_GIT_BYTES;
use crate::reference::Reference;
use crate::registry::{Exchange, Registry, network_error};

/// The models of one artifact.
pub struct ArtifactSource {
    registry: Registry,
    pinned: Reference,
    artifact: Artifact,
    /// One for each file of each model: whether what surrounds its bytes in the layer was seen to be as packed.
    checked: Vec<OnceCell<()>>,
    /// The layer that was last held in memory to check it: its segments are asked for one after the other.
    in_memory: Mutex<Option<(Digest, Bytes)>>,
}

type Chunks = BoxStream<'static, Result<Bytes, HubError>>;

impl ArtifactSource {
    /// Settles the reference to a manifest's digest and reads what the artifact holds. No content is fetched.
    ///
    /// # Errors
    /// [`OciError::Artifact`] for one that packing did not write, or what the registry says.
    pub async fn open(registry: Registry) -> Result<Self, OciError> {
        let reference = registry.reference().clone();
        let invalid = |source| OciError::Artifact { reference: reference.to_string(), source };
        let fetched = registry.manifest(&reference.wanted()).await?;
        let pinned = reference.pinned(fetched.digest);
        let artifact = match artifact::read(&fetched.bytes, &fetched.media_type).map_err(invalid)? {
            Read::Artifact(artifact) => artifact,
            Read::Image(digest) => {
                let image = registry.manifest(&digest.prefixed()).await?;
                artifact::parse_artifact(&image.bytes).map_err(invalid)?
            }
        };
        let files = artifact.models.iter().map(|model| model.model.listing.len()).sum();
        let checked = std::iter::repeat_with(OnceCell::new).take(files).collect();
        Ok(Self { registry, pinned, artifact, checked, in_memory: Mutex::new(None) })
    }

    /// The artifact by its digest.
    pub fn pinned(&self) -> &Reference {
        &self.pinned
    }

    /// The models that it holds.
    pub fn models(&self) -> &[PackedModel] {
        &self.artifact.models
    }

    fn not_held(&self, what: String) -> HubError {
        OciError::NotHeld { reference: self.pinned.to_string(), what }.into()
    }

    fn find(&self, repo: &RepoId, is_it: impl Fn(&PackedModel) -> bool) -> Result<&PackedModel, HubError> {
        let mut of_repo = self.artifact.models.iter().filter(|packed| packed.model.repo == *repo).peekable();
        if of_repo.peek().is_none() {
            return Err(self.not_held(format!("`{repo}`")));
        }
        of_repo.find(|packed| is_it(packed)).ok_or_else(|| self.not_held(format!("that revision of `{repo}`")))
    }

    fn at(&self, repo: &RepoId, commit: &CommitHash) -> Result<&PackedModel, HubError> {
        self.find(repo, |packed| packed.model.commit == *commit)
    }

    async fn open_file(&self, request: FileRequest<'_>) -> Result<FileBody, HubError> {
        let file = request.file;
        let packed = self.at(request.repo, request.commit)?;
        let is_listed = packed
            .model
            .file(&file.path)
            .is_some_and(|listed| (listed.size, listed.digest) == (file.size, file.digest));
        let layer = packed.layers.get(&file.path).filter(|_| is_listed);
        let layer = layer.ok_or_else(|| self.not_held(format!("`{}` of `{}`", file.path, request.repo)))?;
        match file.digest {
            Digest::Sha256(_) => {
                self.check_surroundings(packed, file, layer).await?;
                self.open_range(file, layer, request.range).await
            }
            Digest::GitSha1(_) => self.open_in_memory(file, layer, request.range).await,
        }
    }

    /// A file that is named by git's SHA-1 also has to have its layer's SHA-256, before anything of it is kept.
    async fn open_in_memory(&self, file: &RemoteFile, layer: &Layer, range: Range<u64>) -> Result<FileBody, HubError> {
        let differs = |reason| OciError::Layer { file: file.path.to_string(), reason };
        if file.size > MAX_GIT_BYTES {
            return Err(differs("it is larger than a hub keeps outside of LFS").into());
        }
        let mut held = self.in_memory.lock().await;
        let bytes = match &*held {
            Some((digest, bytes)) if *digest == layer.digest => bytes.clone(),
            _ => self.whole(file, layer).await?,
        };
        *held = Some((layer.digest, bytes.clone()));
        drop(held);
        let start = layer.head_len as usize;
        if layer.head(file.size).as_deref() != Some(&bytes[..start]) {
            return Err(differs("its head differs").into());
        }
        let wanted = bytes.slice(start + range.start as usize..start + range.end as usize);
        Ok(FileBody::new(range, stream::iter([Ok(wanted)]).boxed()))
    }

    /// A whole layer with the digest that the manifest names.
    async fn whole(&self, file: &RemoteFile, layer: &Layer) -> Result<Bytes, HubError> {
        let exchange = self.registry.blob(&layer.digest, layer.size, &(0..layer.size)).await?;
        let wrong = exchange.fault(Fault::WrongBytes);
        let bytes = exchange.read_bounded(layer.size as usize).await?;
        if bytes.len() as u64 != layer.size {
            return Err(wrong.into());
        }
        let actual = sha256(&bytes);
        if actual != layer.digest {
            let what = format!("the layer of `{}`", file.path);
            let (expected, actual) = (layer.digest.prefixed(), actual.prefixed());
            return Err(OciError::Integrity { what, expected, actual }.into());
        }
        Ok(bytes.into())
    }

    async fn open_range(&self, file: &RemoteFile, layer: &Layer, range: Range<u64>) -> Result<FileBody, HubError> {
        let asked = layer.head_len + range.start..layer.head_len + range.end;
        let exchange = self.registry.blob(&layer.digest, layer.size, &asked).await?;
        let (skip, length) = judge(&exchange, layer, file, &asked)?;
        let (url, request_id) = (exchange.url.clone(), exchange.request_id);
        let mut rest = chunks(exchange, skip, length);
        let mut first = Bytes::new();
        if range.start == 0 {
            first = rest.next().await.transpose()?.unwrap_or_default();
            if let Some(found) = Unexpected::judge(file, &first) {
                tracing::debug!(%url, "something else stands in a layer's place");
                return Err(HubError::UnexpectedContent { file: file.path.clone(), found });
            }
        }
        let rest = rest.chain(stream::empty()).boxed();
        Ok(FileBody::new(range, rest).with_first(first).with_request_id(request_id))
    }

    /// What stands before and behind a file in its layer is not used, but it has to be what packing wrote: so no
    /// changed byte of a layer goes unseen.
    async fn check_surroundings(&self, packed: &PackedModel, file: &RemoteFile, layer: &Layer) -> Result<(), HubError> {
        if layer.place.is_none() {
            return Ok(());
        }
        let cell = self.cell_of(packed, file);
        cell.get_or_try_init(|| async {
            let head = self.part(layer, 0..layer.head_len).await?;
            let tail = self.part(layer, layer.size - layer.tail_len..layer.size).await?;
            let reason = match (layer.head(file.size).as_deref() == Some(&head[..]), tail.iter().all(|byte| *byte == 0))
            {
                (true, true) => return Ok(()),
                (false, _) => "its head differs",
                (true, false) => "something stands behind the file",
            };
            Err(HubError::from(OciError::Layer { file: file.path.to_string(), reason }))
        })
        .await
        .map(|_| ())
    }

    fn cell_of(&self, packed: &PackedModel, file: &RemoteFile) -> &OnceCell<()> {
        let before = self.artifact.models.iter().take_while(|other| !std::ptr::eq(*other, packed));
        let offset: usize = before.map(|other| other.model.listing.len()).sum();
        let at = packed.model.listing.binary_search_by(|listed| listed.path.cmp(&file.path)).unwrap_or(0);
        &self.checked[offset + at]
    }

    /// A short range of a blob.
    async fn part(&self, layer: &Layer, range: Range<u64>) -> Result<Bytes, HubError> {
        let length = range.end - range.start;
        let read = || async {
            let exchange = self.registry.blob(&layer.digest, layer.size, &range).await?;
            let is_range = exchange.header("content-range").and_then(parse_content_range);
            let wrong = exchange.fault(Fault::WrongBytes);
            if exchange.response.status().as_u16() != 206 || is_range.is_none_or(|got| got.range != range) {
                return Err(wrong);
            }
            let bytes = exchange.read_bounded(length as usize).await?;
            if bytes.len() as u64 == length { Ok(bytes) } else { Err(wrong) }
        };
        Ok(self.registry.retrying(read).await?.into())
    }
}

/// How many bytes of the answer are not asked for at its start, and how many follow that are.
fn judge(exchange: &Exchange, layer: &Layer, file: &RemoteFile, asked: &Range<u64>) -> Result<(u64, u64), HubError> {
    let wrong = || HubError::from(exchange.fault(Fault::WrongBytes));
    let length = exchange.response.content_length();
    if exchange.header("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return Err(wrong());
    }
    if exchange.response.status().as_u16() == 206 {
        let got = exchange.header("content-range").and_then(parse_content_range).ok_or_else(wrong)?;
        let fits = got.range == *asked && got.total.is_none_or(|total| total == layer.size);
        let full = length.is_none_or(|length| length == asked.end - asked.start);
        return if fits && full { Ok((0, asked.end - asked.start)) } else { Err(wrong()) };
    }
    if length.is_some_and(|length| length != layer.size) {
        return Err(wrong());
    }
    // A registry without ranges: the whole file can be had, a part of it cannot.
    if asked.end - asked.start == file.size {
        Ok((asked.start, file.size))
    } else {
        Err(HubError::RangeIgnored { file: file.path.clone() })
    }
}

/// `length` bytes of a body after the first `skip`; more at its end are left unread.
fn chunks(exchange: Exchange, skip: u64, length: u64) -> Chunks {
    let Exchange { response, url, request_id, .. } = exchange;
    let cut = Cut { skip, left: length, url, request_id };
    let body = response.bytes_stream().boxed();
    stream::unfold((body, cut), |(mut body, mut cut)| async move {
        while cut.left > 0 {
            match body.next().await? {
                Ok(chunk) => match cut.take(chunk) {
                    chunk if chunk.is_empty() => {}
                    chunk => return Some((Ok(chunk), (body, cut))),
                },
                Err(error) => {
                    cut.left = 0;
                    let error = network_error(error, cut.url.clone(), cut.request_id);
                    return Some((Err(error.into()), (body, cut)));
                }
            }
        }
        None
    })
    .fuse()
    .boxed()
}

struct Cut {
    skip: u64,
    left: u64,
    url: Url,
    request_id: RequestId,
}

impl Cut {
    fn take(&mut self, mut chunk: Bytes) -> Bytes {
        let skipped = self.skip.min(chunk.len() as u64);
        self.skip -= skipped;
        let kept = (chunk.len() as u64 - skipped).min(self.left);
        self.left -= kept;
        let mut rest = chunk.split_off(skipped as usize);
        rest.truncate(kept as usize);
        rest
    }
}

impl Source for ArtifactSource {
    fn resolve<'a>(&'a self, repo: &'a RepoId, revision: &'a Revision) -> BoxFuture<'a, Result<RepoInfo, HubError>> {
        Box::pin(async move {
            let commit = revision.commit();
            let is_it = |packed: &PackedModel| match &commit {
                Some(commit) => packed.model.commit == *commit,
                None => packed.model.refs.contains(revision),
            };
            let model = &self.find(repo, is_it)?.model;
            Ok(RepoInfo {
                commit: model.commit.clone(),
                license: model.license.clone(),
                base_models: model.base_model.iter().cloned().collect(),
                gated: false,
                private: false,
                last_modified: None,
            })
        })
    }

    fn list<'a>(
        &'a self,
        repo: &'a RepoId,
        commit: &'a CommitHash,
    ) -> BoxFuture<'a, Result<Vec<RemoteFile>, HubError>> {
        Box::pin(async move { Ok(self.at(repo, commit)?.model.listing.clone()) })
    }

    fn open<'a>(&'a self, request: FileRequest<'a>) -> BoxFuture<'a, Result<FileBody, HubError>> {
        Box::pin(self.open_file(request))
    }

    fn refs<'a>(&'a self, repo: &'a RepoId) -> BoxFuture<'a, Result<Vec<RepoRef>, HubError>> {
        Box::pin(async move {
            self.find(repo, |_| true)?;
            let of_repo = self.artifact.models.iter().filter(|packed| packed.model.repo == *repo);
            let names = of_repo.flat_map(|packed| packed.model.refs.iter().map(|name| (name, &packed.model.commit)));
            let named = |(name, commit): (&Revision, &CommitHash)| RepoRef {
                name: name.to_string(),
                kind: RefKind::Branch,
                commit: commit.clone(),
            };
            Ok(names.map(named).collect())
        })
    }

    fn check_access<'a>(&'a self, repo: &'a RepoId) -> BoxFuture<'a, Result<(), HubError>> {
        Box::pin(async move { self.find(repo, |_| true).map(|_| ()) })
    }
}

//! `pack`: models from the cache as an OCI artifact, in a registry or a folder.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use speech_flow_model_manager::{EnsureOptions, Events, Lease, Model, ModelManager};
use speech_flow_model_oci::description::DescribedModel;
use speech_flow_model_oci::{Access, Format, ModelToPack, OciError, Pack, Reference, push, write_folder};
use speech_flow_model_types::{ByteSize, Digest, ModelSource, ModelSpec, RemoteFile};
use tokio_util::sync::CancellationToken;

use crate::cli::{PackArgs, PackFormat};
use crate::printer::Tone;
use crate::progress::Reporter;
use crate::registry::{Told, connect};
use crate::report::Failure;
use crate::session::Session;
use crate::{lockfile, selection, signals};

/// What people are told on Ctrl-C.
const INTERRUPTED: &str = "interrupted: what the registry has is kept; run the same command again and it goes on";

/// Where the artifact goes.
enum Target {
    Registry(Reference),
    Folder,
}

pub(super) fn run(session: &Session, args: &PackArgs) -> Result<(), Failure> {
    let (specs, target) = read(session, args)?;
    let manager = session.manager()?;
    let lock = lockfile::choice(session, args.locked)?;
    let reporter = Arc::new(Reporter::new(Arc::clone(&session.printer)));
    let started = Instant::now();
    signals::run(&session.printer, INTERRUPTED, |cancel| async {
        let events: Arc<dyn Events> = Arc::clone(&reporter) as _;
        let options = EnsureOptions { lock, events: Arc::clone(&events), cancel, ..EnsureOptions::default() };
        let job = Job { session, args, manager: &manager, reporter: &reporter, events, cancel: options.cancel.clone() };
        let done = job.run(&specs, &target, &options).await;
        reporter.finish();
        job.report(done?, started);
        Ok(())
    })
}

/// The models and the target that were typed.
fn read(session: &Session, args: &PackArgs) -> Result<(Vec<ModelSpec>, Target), Failure> {
    let (references, names): (Vec<_>, Vec<_>) = args.names.iter().cloned().partition(|name| Reference::is_meant(name));
    let last_is_reference = args.names.last().is_some_and(|name| Reference::is_meant(name));
    let target = match (&references[..], &args.output) {
        ([], Some(_)) => Target::Folder,
        ([reference], None) if last_is_reference => {
            let reference: Reference = reference.parse().map_err(OciError::from)?;
            if reference.tag().is_none() || reference.digest().is_some() {
                return Err(Failure::usage(
                    format!("`{reference}` is no place for an artifact"),
                    "an artifact is pushed under a tag; its digest follows from what is packed",
                ));
            }
            Target::Registry(reference)
        }
        ([], None) => {
            return Err(Failure::usage(
                "it is not said where the artifact goes",
                "end the command with `oci://REGISTRY/NAME:TAG`, or name a folder with `--output`",
            ));
        }
        _ => {
            return Err(Failure::usage(
                "an artifact goes to one place",
                "write one `oci://REGISTRY/NAME:TAG` as the last, or `--output`",
            ));
        }
    };
    let specs = if names.is_empty() { Vec::new() } else { selection::named(&session.config, &names)? };
    if specs.is_empty() {
        return Err(Failure::usage("no model is named", "name one: `speech-flow pack large-v3 oci://…`"));
    }
    if args.format == PackFormat::Modelpack && specs.len() > 1 {
        return Err(Failure::usage(
            format!("a ModelPack holds one model, and {} are named", specs.len()),
            "pack each on its own, or all as one image with `--format image`",
        ));
    }
    if let Some(folder) = specs.iter().find(|spec| matches!(spec.source, ModelSource::Folder(_))) {
        return Err(Failure::usage(
            format!("`{folder}` is a folder: it has no repository and commit that an artifact could name"),
            "name the model as `owner/name`",
        ));
    }
    Ok((specs, target))
}

struct Job<'a> {
    session: &'a Session,
    args: &'a PackArgs,
    manager: &'a ModelManager,
    reporter: &'a Arc<Reporter>,
    events: Arc<dyn Events>,
    cancel: CancellationToken,
}

/// What was done.
struct Done {
    models: Vec<Model>,
    digest: Digest,
    place: String,
    pinned: Option<String>,
    bytes_total: u64,
    bytes_sent: u64,
}

impl Job<'_> {
    async fn run(&self, specs: &[ModelSpec], target: &Target, options: &EnsureOptions) -> Result<Done, Failure> {
        if let (Target::Registry(reference), true) = (target, *self.session.config.hub.offline) {
            return Err(Failure::refused(
                format!("`{reference}` is in a registry, and the mode is offline"),
                format!(
                    "write a folder with `--output`, or go online; offline comes from {}",
                    self.session.config.hub.offline.origin
                ),
            ));
        }
        let mut models = Vec::new();
        // Held until all is sent: nothing of them is deleted meanwhile.
        let mut leases: Vec<Option<Lease>> = Vec::new();
        for spec in specs {
            let model = self.manager.ensure_with(spec, options).await?;
            leases.push(self.manager.lease(&model)?);
            models.push(model);
        }
        let pack = self.pack(&models).await?;
        let (digest, bytes_total) = (pack.digest(), pack.bytes_total());
        let done = match target {
            Target::Registry(reference) => {
                let access = Access::Push;
                let registry = connect(self.session, reference, access, self.args.plain_http, &self.events).await?;
                self.reporter.begin(reference.to_string(), "sending", pack.blobs(), bytes_total, bytes_total);
                let told = Arc::new(Told(Arc::clone(&self.events)));
                let pushed = push(&registry, &pack, told, &self.cancel).await?;
                let (place, pinned) = (reference.to_string(), Some(pushed.pinned.to_string()));
                Done { models, digest, place, pinned, bytes_total, bytes_sent: pushed.bytes_sent }
            }
            Target::Folder => {
                let folder = self.args.output.clone().unwrap_or_default();
                let place = folder.display().to_string();
                self.write(pack, &folder).await?;
                Done { models, digest, place, pinned: None, bytes_total, bytes_sent: 0 }
            }
        };
        drop(leases);
        Ok(done)
    }

    async fn pack(&self, models: &[Model]) -> Result<Pack, Failure> {
        let models: Vec<ModelToPack> =
            models.iter().map(|model| to_pack(self.manager, model)).collect::<Result<_, _>>()?;
        let bytes = models.iter().flat_map(|model| &model.files).map(|file| file.size).sum();
        let files = models.iter().map(|model| model.files.len()).sum();
        let names: Vec<String> = models.iter().map(|model| model.model.repo.to_string()).collect();
        self.reporter.begin(names.join(", "), "hashing", files, bytes, bytes);
        let format = match self.args.format {
            PackFormat::Modelpack => Format::ModelPack,
            PackFormat::Image => Format::Image,
        };
        let (reporter, cancel) = (Arc::clone(self.reporter), self.cancel.clone());
        let work = move || {
            let mut hashed = |bytes| reporter.moved_on(bytes);
            speech_flow_model_oci::pack(models, format, &mut hashed, &cancel)
        };
        Ok(tokio::task::spawn_blocking(work).await.map_err(OciError::from)??)
    }

    async fn write(&self, pack: Pack, folder: &Path) -> Result<(), Failure> {
        let (blobs, total) = (pack.blobs(), pack.bytes_total());
        self.reporter.begin(folder.display().to_string(), "writing", blobs, total, total);
        let (reporter, cancel) = (Arc::clone(self.reporter), self.cancel.clone());
        let (folder, tag) = (folder.to_owned(), self.args.tag.clone());
        let work = move || {
            let mut written = |bytes| reporter.moved_on(bytes);
            write_folder(&pack, &folder, &tag, &mut written, &cancel)
        };
        Ok(tokio::task::spawn_blocking(work).await.map_err(OciError::from)??)
    }

    fn report(&self, done: Done, started: Instant) {
        let printer = &self.session.printer;
        let digest = done.digest.prefixed();
        if self.args.json {
            printer.json(json!({
                "artifact": done.place,
                "digest": digest,
                "pinned": done.pinned,
                "format": match self.args.format {
                    PackFormat::Modelpack => "modelpack",
                    PackFormat::Image => "image",
                },
                "models": done.models.iter().map(Model::to_json).collect::<Vec<Value>>(),
                "bytes_total": done.bytes_total,
                "bytes_sent": done.bytes_sent,
            }));
        } else {
            printer.data(done.pinned.as_deref().unwrap_or(&digest));
        }
        let what = match &done.pinned {
            Some(_) => format!("{} of {} sent", ByteSize(done.bytes_sent), ByteSize(done.bytes_total)),
            None => format!("{} written", ByteSize(done.bytes_total)),
        };
        let label = printer.paint_stderr(Tone::Good, format_args!("packed as `{}`", done.place));
        printer.note(format_args!("{label}; {what} in {:.1} s", started.elapsed().as_secs_f64()));
    }
}

/// A model on disk with what the cache knows of it.
fn to_pack(manager: &ModelManager, model: &Model) -> Result<ModelToPack, Failure> {
    let Some(origin) = &model.origin else {
        return Err(Failure::usage(format!("`{}` is a folder", model.name), "name the model as `owner/name`"));
    };
    let listing = manager.listing(model);
    let mut files = Vec::new();
    for file in &model.files {
        let listed = listing.iter().flatten().find(|listed| listed.path == file.path);
        let known = listed.cloned().or_else(|| {
            let digest = file.digest?;
            let blob_id = match digest {
                Digest::GitSha1(_) => digest.to_string(),
                Digest::Sha256(_) => String::new(),
            };
            Some(RemoteFile { path: file.path.clone(), size: file.size, digest, blob_id, xet_hash: None })
        });
        files.push(known.ok_or_else(|| {
            Failure::refused(
                format!("the hash of `{}` of `{}` is not known", file.path, origin.repo),
                format!("fetch its listing with `speech-flow preload {}`", origin.repo),
            )
        })?);
    }
    let mut listing = listing.unwrap_or_else(|| files.clone());
    listing.sort_by(|a, b| a.path.cmp(&b.path));
    let described = DescribedModel {
        repo: origin.repo.clone(),
        commit: origin.commit.clone(),
        refs: if origin.revision.commit().is_none() { vec![origin.revision.clone()] } else { Vec::new() },
        kind: model.kind,
        license: origin.license.clone(),
        base_model: origin.base_model.clone(),
        listing,
        layers: std::collections::BTreeMap::new(),
    };
    Ok(ModelToPack { model: described, folder: model.path.clone(), files })
}

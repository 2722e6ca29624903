//! What a control plane keeps: its store, its logs and its registry, each below a directory of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use outport_free_space::FreeSpace;
use outport_image_registry::{Limits, Registry};
use outport_log_store::{LogStore, LogStoreOptions};
use outport_store::{RandomIds, Store, SystemClock};

use crate::command_line::ControlPlaneOptions;
use crate::data_dir::DataDir;

/// Parts of the disk that logs and the registry may take unless the options say how much.
const LOGS_PERCENT: u64 = 25;
const REGISTRY_PERCENT: u64 = 50;

/// Open, and locked for as long as anybody has one of them.
#[derive(Clone)]
pub struct Parts {
    pub store: Store,
    pub logs: Arc<LogStore>,
    pub registry: Arc<Registry>,
}

impl Parts {
    /// Those of a data directory, made where they never were. All at once: on the first start each waits for the disk a dozen
    /// times.
    ///
    /// # Errors
    /// When one of them does not open; the line says which and what to do.
    pub async fn open(data_dir: &DataDir, options: &ControlPlaneOptions) -> Result<Self> {
        let [control, logs, registry] =
            [data_dir.part("control")?, data_dir.part("logs")?, data_dir.part("registry")?];
        let (log_options, limits) = shares(options, data_dir.path())?;
        let (store, logs, registry) = tokio::try_join!(
            blocking(move || open_store(&control)),
            blocking(move || open_logs(logs, log_options)),
            blocking(move || Ok(Registry::open(&registry, limits)?)),
        )?;
        Ok(Self { store, logs, registry })
    }

    /// Those below `directory`, where nothing is going to be added to them. Blocks.
    ///
    /// # Errors
    /// As of [`Parts::open`].
    pub fn open_as_they_are(directory: &Path) -> Result<Self> {
        Ok(Self {
            store: open_store(&directory.join("control"))?,
            logs: open_logs(directory.join("logs"), LogStoreOptions::default())?,
            registry: Registry::open(&directory.join("registry"), Limits::default())?,
        })
    }
}

/// How much of the disk may be whose.
fn shares(options: &ControlPlaneOptions, directory: &Path) -> Result<(LogStoreOptions, Limits)> {
    let total = FreeSpace::of(directory)?.bytes_total;
    let share = |gib: Option<u32>, percent: u64| match gib {
        Some(gib) => u64::from(gib) << 30,
        None => total / 100 * percent,
    };
    let logs = LogStoreOptions {
        bytes_max: share(options.logs_gib, LOGS_PERCENT),
        retention_days: options.log_retention_days,
        ..LogStoreOptions::default()
    };
    let registry =
        Limits { bytes_max: share(options.registry_gib, REGISTRY_PERCENT), ..Limits::default() };
    Ok((logs, registry))
}

/// The store below `directory`. Blocks.
///
/// # Errors
/// When it does not open.
pub fn open_store(directory: &Path) -> Result<Store> {
    let store = Store::open(directory, Arc::new(SystemClock), Arc::new(RandomIds))?;
    // What it took to read the rows is several times what they are.
    outport_memory::give_back();
    Ok(store)
}

fn open_logs(directory: PathBuf, options: LogStoreOptions) -> Result<Arc<LogStore>> {
    Ok(LogStore::open(directory, Arc::new(outport_log_store::SystemClock), options)?)
}

async fn blocking<T: Send + 'static>(
    open: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(open).await?
}

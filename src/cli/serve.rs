//! `fanlight serve`: open everything, listen, and end in order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    api,
    app::App,
    config::Config,
    error::{Error, Result},
    rules::Removals,
};

/// Serves until SIGTERM or SIGINT. SIGHUP loads rules and stores anew.
///
/// # Errors
/// When something that the configuration names cannot be opened, or an address is taken.
pub async fn run(config: Config) -> Result<()> {
    let listen = bind(config.listen).await?;
    let admin = bind(config.admin_listen).await?;
    let app = App::open(config).await?;
    prepare_schema(&app).await?;
    app.refresh_stores().await?;
    let jobs = app.start_jobs();
    super::banner::print(&app.config);

    let (stop, stopped) = watch::channel(false);
    let api = tokio::spawn(serve(listen, api::router(app.clone()), stopped.clone()));
    let admin = tokio::spawn(serve(admin, api::admin::router(app.clone()), stopped));
    wait_for_stop(&app).await?;

    tracing::info!("stopping, running requests may finish");
    stop.send_replace(true);
    let patience = Duration::from_secs(app.config.http.shutdown_s);
    if tokio::time::timeout(patience, async { (api.await, admin.await) }).await.is_err() {
        tracing::warn!("some requests were still running and are cut");
    }
    drop(jobs);
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
        Error::invalid(format!(
            "cannot listen on {address}: {e}; is another gateway running? see `fanlight serve --help`"
        ))
    })
}

/// SQLite belongs to this gateway alone and is brought up to date here; a shared database only by the operator's word.
async fn prepare_schema(app: &App) -> Result<()> {
    if app.db.is_embedded() {
        for step in app.db.migrate().await? {
            tracing::info!(step, "database migrated");
        }
        return Ok(());
    }
    let status = app.db.schema().await?;
    if status.is_current() {
        Ok(())
    } else {
        let text = format!("{} migrations are pending: run `fanlight db migrate`", status.pending.len());
        Err(Error::invalid(text))
    }
}

async fn serve(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>) -> std::io::Result<()> {
    use axum::serve::ListenerExt;
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
    });
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        })
        .await
}

async fn wait_for_stop(app: &Arc<App>) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::internal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::internal)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(Error::internal)?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => {
                app.rules.reload("SIGHUP", Removals::Refused).await;
                // A store or database that does not answer must not keep SIGTERM waiting.
                let app = Arc::clone(app);
                tokio::spawn(async move { app.reload_stores("SIGHUP").await });
            }
        }
    }
}

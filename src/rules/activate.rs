//! Activate and rollback: the content of the policies folder is exchanged and put in force in one turn, after the same
//! checks as at a reload. The watcher then finds in the folder what is in force already.

use std::{path::PathBuf, sync::Arc};

use super::{
    Fault, Outcome, Rulebook, Ruleset,
    book::lock,
    folder::{Files, digest, read_policies},
    history::History,
};

impl Rulebook {
    /// Copies the policies of `folder`, or of the candidate as it was asked, into the policies folder and puts them in force. What the
    /// folder held is kept as the latest of ten previous contents. The candidate has done its work and is let go.
    pub async fn activate(self: &Arc<Self>, folder: Option<PathBuf>) -> Outcome {
        self.off_path(move |book| {
            let of_candidate = book.candidate_folder();
            let named = folder.is_some();
            let folder = folder.or_else(|| of_candidate.clone()).ok_or_else(|| {
                vec![Fault::new("candidate", None, "no candidate is followed: name a folder of policies")]
            })?;
            let (files, next) = book.check(read_policies(&folder))?;
            if !named && book.candidate_is_news(Some(&digest(&files.policies))) {
                let text =
                    "holds something else than what requests are asked: look at the status again, or name the folder";
                return Err(vec![Fault::new(folder.display().to_string(), None, text)]);
            }
            let exchange = History::open(&book.folders.policies).and_then(|h| h.activate(&files.policies));
            exchange.map_err(|e| book.failed(&e))?;
            if of_candidate.is_some_and(|candidate| candidate == folder) {
                book.shadow_stop();
            }
            Ok(book.install(next, "activated"))
        })
        .await
    }

    /// Puts the policies folder back to the latest previous content that is good and not in force, and puts that in
    /// force. What the folder held is put aside as `undone`.
    pub async fn rollback(self: &Arc<Self>) -> Outcome {
        self.off_path(|book| {
            let history = History::open(&book.folders.policies).map_err(|e| book.failed(&e))?;
            let mut faults = Vec::new();
            for previous in history.previous().map_err(|e| book.failed(&e))? {
                match book.check(read_policies(&previous)) {
                    Ok((_, next)) if next.digest == book.current().digest => {}
                    Ok((_, next)) => {
                        history.back_to(&previous).map_err(|e| book.failed(&e))?;
                        return Ok(book.install(next, "rolled back"));
                    }
                    Err(wrong) => faults.extend(wrong),
                }
            }
            if faults.is_empty() {
                faults.push(Fault::new(
                    book.folders.policies.display().to_string(),
                    None,
                    "there is no previous content",
                ));
            }
            Err(faults)
        })
        .await
    }

    /// In a turn of its own and off the threads that serve requests; what is wrong leaves everything as it was.
    async fn off_path<F>(self: &Arc<Self>, work: F) -> Outcome
    where
        F: FnOnce(&Self) -> Result<Outcome, Vec<Fault>> + Send + 'static,
    {
        let book = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _turn = lock(&book.turn);
            work(&book)
        });
        let done = done.await.unwrap_or_else(|e| Err(vec![Fault::new("rules", None, e.to_string())]));
        done.unwrap_or_else(|faults| {
            for fault in &faults {
                tracing::error!(%fault, "policies were not exchanged");
            }
            Outcome::Refused { generation: self.current().generation, faults }
        })
    }

    fn check(&self, policies: Result<Vec<(String, Vec<u8>)>, Fault>) -> Result<(Files, Ruleset), Vec<Fault>> {
        let files = self.folders.read_with(policies)?;
        let now = self.current();
        let next = files.check(now.generation + 1, &self.engine, &now.plugins)?;
        Ok((files, next))
    }

    fn failed(&self, error: &std::io::Error) -> Vec<Fault> {
        let folder = self.folders.policies.display().to_string();
        vec![Fault::new(folder, None, format!("the content cannot be exchanged: {error}"))]
    }
}

#[cfg(test)]
mod tests;

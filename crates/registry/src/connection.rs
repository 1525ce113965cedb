//! Requests to a registry that are let through: with what was given for their rights, and after a refusal with something
//! new.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cache::{Answer, Client, Request};

use crate::access::{Access, Accesses, Scope};
use crate::api::refusal;
use crate::challenge::{self, Challenge};
use crate::credentials::{Credential, Keychain, basic};
use crate::error::Fault;
use crate::hosts::{Endpoint, Hosts};
use crate::token;

/// Connections at once: enough to hide the waiting, few enough to be polite.
pub(crate) const CONNECTIONS: NonZeroUsize = NonZeroUsize::new(6).expect("more than none");

/// A client of registries. One serves any number of threads, and asks for a token once.
pub struct Registry<'a> {
    pub(crate) client: &'a Client,
    pub(crate) hosts: &'a Hosts,
    keychain: &'a Keychain,
    session: Session,
}

/// What registries gave to let us through, so far. Clones share it, so that clients one after another ask for a token once.
#[derive(Clone, Default)]
pub struct Session(Arc<Mutex<State>>);

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tokens are nobody's business.
        formatter.debug_struct("Session").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    accesses: Accesses,
    /// How each registry asks for a login, by its origin.
    challenges: BTreeMap<String, Challenge>,
}

/// Where a request goes to, and which rights it needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) repository: &'a str,
    pub(crate) scope: &'a Scope,
}

/// Why something that consists of several requests ended.
pub(crate) enum Stop {
    /// All of it may succeed a moment later.
    Passing(cache::Fault),
    /// It stays so.
    Lasting(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Lasting(fault)
    }
}

impl Place<'_> {
    /// The address of something in the repository: `manifests/latest`.
    pub(crate) fn url(&self, rest: &str) -> String {
        self.endpoint.url(self.repository, rest)
    }
}

impl fmt::Debug for Registry<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Registry").field("hosts", self.hosts).finish_non_exhaustive()
    }
}

impl<'a> Registry<'a> {
    /// A client that connects by way of `client`.
    pub fn new(client: &'a Client, hosts: &'a Hosts, keychain: &'a Keychain) -> Self {
        Self { client, hosts, keychain, session: Session::default() }
    }

    /// The same client, which goes on with what was given in a session.
    #[must_use]
    pub fn in_session(self, session: &Session) -> Self {
        Self { session: session.clone(), ..self }
    }

    /// The answer to a request, whatever it is but a refusal to know us. Passing faults are tried again.
    pub(crate) fn send(&self, place: Place<'_>, request: &Request<'_>) -> Result<Answer, Fault> {
        self.let_through(place, request.url, |authorization| {
            token::ask(self.client, &Request { authorization, ..request.clone() })
        })
    }

    /// As [`Self::send`], but a passing fault is told: what went before has to be done again too.
    pub(crate) fn send_once(&self, place: Place<'_>, request: &Request<'_>) -> Result<Answer, Stop> {
        let answer = self.let_through(place, request.url, |authorization| {
            self.client.exchange(&Request { authorization, ..request.clone() }).map_err(Stop::Passing)
        })?;
        answer.passing_fault().map_or(Ok(answer), |fault| Err(Stop::Passing(fault)))
    }

    fn let_through<E: From<Fault>>(
        &self,
        place: Place<'_>,
        url: &str,
        ask: impl Fn(Option<&str>) -> Result<Answer, E>,
    ) -> Result<Answer, E> {
        // The session of an upload may be elsewhere, at somebody who is told nothing of us.
        if !place.endpoint.has(url) {
            return ask(None);
        }
        let sent = self.authorization(place)?;
        let answer = ask(sent.as_deref())?;
        // Who asks for a login where a redirect led gets none either.
        if answer.status != 401 || !place.endpoint.has(&answer.url) {
            return Ok(answer);
        }
        // A token that ended, or the first request of all.
        let renewed = self.renew(place, &answer, sent.as_deref())?;
        let answer = ask(Some(&renewed))?;
        match answer.status {
            401 => Err(self.denied(place, &answer).into()),
            _ => Ok(answer),
        }
    }

    /// The answer, where it has one of these statuses.
    pub(crate) fn expect(
        &self,
        place: Place<'_>,
        request: &Request<'_>,
        wanted: &[u16],
    ) -> Result<Answer, Fault> {
        let answer = self.send(place, request)?;
        if wanted.contains(&answer.status) { Ok(answer) } else { Err(self.denied(place, &answer)) }
    }

    /// The value of `Authorization`, where it is known that one is needed.
    pub(crate) fn authorization(&self, place: Place<'_>) -> Result<Option<String>, Fault> {
        let mut state = self.state();
        if let Some(value) = state.accesses.get(place.endpoint, place.scope) {
            return Ok(Some(value.to_owned()));
        }
        match state.challenges.get(&place.endpoint.origin).cloned() {
            Some(challenge) => self.obtain(&mut state, place, &challenge).map(Some),
            None => Ok(None),
        }
    }

    /// The fault that an answer is.
    pub(crate) fn denied(&self, place: Place<'_>, answer: &Answer) -> Fault {
        refusal(answer, matches!(self.credential(place), Ok(Some(_))))
    }

    /// Something new after a refusal of what was `sent`.
    fn renew(&self, place: Place<'_>, answer: &Answer, sent: Option<&str>) -> Result<String, Fault> {
        let mut state = self.state();
        // Meanwhile another thread may have got it.
        if let Some(value) =
            state.accesses.get(place.endpoint, place.scope).filter(|value| Some(*value) != sent)
        {
            return Ok(value.to_owned());
        }
        let offered: Vec<Challenge> = answer.headers("www-authenticate").flat_map(challenge::parse).collect();
        let by_scheme = |scheme: &str| offered.iter().find(|challenge| challenge.scheme == scheme);
        let Some(chosen) = by_scheme("bearer").or_else(|| by_scheme("basic")) else {
            let schemes: Vec<&str> = offered.iter().map(|challenge| challenge.scheme.as_str()).collect();
            let what = match schemes.as_slice() {
                [] => "does not say in which way".to_owned(),
                some => format!("in a way that is not understood here: {}", some.join(", ")),
            };
            return Err(Fault::Challenge { address: answer.url.clone(), what });
        };
        if chosen.scheme == "basic" && (sent.is_some() || self.credential(place)?.is_none()) {
            return Err(self.denied(place, answer));
        }
        state.challenges.insert(place.endpoint.origin.clone(), chosen.clone().without_scope());
        self.obtain(&mut state, place, chosen)
    }

    /// Gets what a challenge asks for. Others wait meanwhile, so that it is asked for once.
    fn obtain(&self, state: &mut State, place: Place<'_>, challenge: &Challenge) -> Result<String, Fault> {
        let credential = self.credential(place)?;
        let access = match (challenge.scheme.as_str(), &credential) {
            (_, Some(Credential::RegistryToken(token))) => Access::lasting(format!("Bearer {token}")),
            ("basic", Some(Credential::Password { user, password })) => {
                Access::lasting(basic(user, password))
            }
            ("basic", _) => {
                let what = "there is no user and password for it".to_owned();
                return Err(Fault::Challenge { address: place.endpoint.origin.clone(), what });
            }
            _ => token::fetch(
                self.client,
                &place.endpoint.origin,
                challenge,
                place.scope,
                credential.as_ref(),
            )?,
        };
        let value = access.value.clone();
        state.accesses.put(place.endpoint, place.scope, access);
        Ok(value)
    }

    fn credential(&self, place: Place<'_>) -> Result<Option<Credential>, Fault> {
        Ok(self.keychain.find(&place.endpoint.name, place.repository)?)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.session.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

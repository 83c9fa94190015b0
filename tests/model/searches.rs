//! The model's rules about searches: a snapshot of what can be seen and matches.

use std::collections::BTreeMap;

use cryptoki_sys::*;

use super::judge::{Rules, Verdict, check};
use super::state::{Model, Search};
use super::step::{Answer, Given};
use crate::common::p11::Attr;

impl Model {
    pub(super) fn find_init(
        &mut self,
        session: CK_SESSION_HANDLE,
        template: &[Attr],
        answer: &Answer,
    ) -> Verdict {
        let mut rules = Rules::new();
        self.exclusivity(session, None, &mut rules);
        if rules.judge(answer.rv)? {
            self.began(session, None);
            let matches = |number: &usize| {
                let attributes: &BTreeMap<_, _> = &self.objects[*number].attributes;
                template.iter().all(|Attr(kind, value)| attributes.get(kind) == Some(value))
            };
            let left = self.visible(self.slot_of(session)).filter(matches).collect();
            self.here(session).search = Some(Search { left, lost: Vec::new(), maybe: false });
        }
        Ok(())
    }

    pub(super) fn find(
        &mut self,
        session: CK_SESSION_HANDLE,
        max: usize,
        answer: &Answer,
    ) -> Verdict {
        let slot = self.slot_of(session);
        let mut rules = Rules::new();
        let Some(mut search) = self.here(session).search.take() else {
            return rules.must(true, CKR_OPERATION_NOT_INITIALIZED).judge(answer.rv).map(|_| ());
        };
        rules.may(search.maybe, CKR_OPERATION_NOT_INITIALIZED);
        if !rules.judge(answer.rv)? {
            return Ok(());
        }
        search.maybe = false;
        let Given::Found(found) = &answer.given else { return Err("no handles".into()) };
        let visible: Vec<usize> = self.visible(slot).collect();
        let live = search.left.iter().filter(|number| visible.contains(number)).count();
        let bounds = live.min(max)..=(search.left.len() + search.lost.len()).min(max);
        check(bounds.contains(&found.len()), || {
            format!("{} objects found, expected {bounds:?}", found.len())
        })?;
        for (handle, id) in found {
            check(*handle != 0, || "a found handle is 0".into())?;
            let of_id = || {
                let id = id.as_ref()?;
                let has = |number: &&usize| {
                    self.objects[**number].attributes.get(&CKA_UNIQUE_ID) == Some(id)
                };
                visible.iter().find(has).copied()
            };
            let known = self.object(slot, *handle);
            let Some(number) = known.or_else(of_id) else {
                // What is gone since the search began may still be given, as a dead handle.
                let gone = search.left.iter().position(|number| !visible.contains(number));
                match gone {
                    Some(gone) => _ = search.left.remove(gone),
                    None => {
                        let lost = search.lost.pop();
                        check(lost.is_some(), || format!("handle {handle} of nothing ({id:?})"))?;
                    }
                }
                continue;
            };
            let before = search.left.len() + search.lost.len();
            search.left.retain(|left| *left != number);
            search.lost.retain(|lost| *lost != number);
            check(search.left.len() + search.lost.len() < before, || {
                format!("handle {handle}: its object was not looked for, or comes again")
            })?;
            if known.is_none() {
                let stale = self.stale.contains(handle);
                check(!stale, || format!("the object handle {handle} comes again"))?;
                self.handles.insert(*handle, number);
            }
        }
        self.here(session).search = Some(search);
        Ok(())
    }
}

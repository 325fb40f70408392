//! Finality: a quorum of seats signed a certificate, and the headers beside it lead to its block.

use crate::{
    anchor::{FinalityScheme, TrustAnchor},
    error::{Document, VerifyError},
};
use commonware_codec::{Decode as _, Encode as _};
use commonware_consensus::{Epochable as _, Viewable as _, simplex::types::Finalization};
use commonware_cryptography::{
    keccak256::Digest,
    transcript::{Transcript, Version},
};
use commonware_parallel::Sequential;
use og_crypto::block_hash;
use og_types::{BlockHash, Header, ValidatorId};

type Certificate = Finalization<FinalityScheme, Digest>;

/// What claims that a block is final.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    /// What it is part of.
    pub(crate) document: Document,
    /// The block's header.
    pub(crate) header: &'a Header,
    /// The headers after it, up to the one that the certificate names.
    pub(crate) descendants: &'a [Header],
    /// The certificate.
    pub(crate) finalization: &'a [u8],
}

/// A certificate that holds, and the block that it makes final.
#[derive(Clone, Debug)]
pub(crate) struct Finality {
    /// Seats that signed, in the order of the set.
    pub(crate) signers: Vec<ValidatorId>,
    /// The block that the certificate names: the claimed one, or a descendant.
    pub(crate) certified: Header,
    /// Its hash.
    pub(crate) certified_hash: BlockHash,
    /// Hash of the claimed block.
    pub(crate) block: BlockHash,
}

/// Checks the certificate, and that the headers lead from the claimed block to it.
pub(crate) fn check(claim: Claim<'_>, anchor: &TrustAnchor) -> Result<Finality, VerifyError> {
    let certificate = decode(claim, anchor)?;
    let signers = check_certificate(&certificate, claim, anchor)?;
    let certified_hash = BlockHash(certificate.proposal.payload.0);
    let block = check_headers(claim, certified_hash)?;
    let certified = claim.descendants.last().unwrap_or(claim.header);
    check_round(&certificate, certified, claim.document)?;
    Ok(Finality {
        signers,
        certified: certified.clone(),
        certified_hash,
        block,
    })
}

/// Decodes a certificate, which must be the one encoding of what it says.
fn decode(claim: Claim<'_>, anchor: &TrustAnchor) -> Result<Certificate, VerifyError> {
    let bytes = claim.finalization;
    let malformed = |reason: String| VerifyError::Decode {
        field: claim.document.finalization().to_owned(),
        reason,
    };
    let seats = anchor.validators.members().len();
    let certificate = Certificate::decode_cfg(bytes::Bytes::copy_from_slice(bytes), &seats)
        .map_err(|error| malformed(format!("not a finality certificate: {error}")))?;
    // The signature inside is decoded late and written back as it came; it is checked by itself.
    let signature = certificate
        .certificate
        .signature
        .get()
        .ok_or_else(|| malformed("the signature is not a point of G1".to_owned()))?;
    if certificate.encode() != bytes || !bytes.ends_with(&signature.encode()) {
        return Err(malformed("not the canonical encoding".to_owned()));
    }
    Ok(certificate)
}

/// Checks that a quorum of the anchor's seats signed the certificate, and says who did.
fn check_certificate(
    certificate: &Certificate,
    claim: Claim<'_>,
    anchor: &TrustAnchor,
) -> Result<Vec<ValidatorId>, VerifyError> {
    let document = claim.document;
    let members = anchor.validators.members();
    let seats = &certificate.certificate.signers;
    if seats.len() != members.len() {
        return Err(VerifyError::Seats {
            document,
            found: seats.len(),
            expected: members.len(),
        });
    }
    if seats.count() < anchor.quorum() {
        return Err(VerifyError::Quorum {
            document,
            found: seats.count(),
            needed: anchor.quorum(),
        });
    }
    // The check draws no randomness. Its interface asks for a source all the same, so it gets
    // one that would be sound: it depends on every byte judged and on nothing else.
    let mut source = Transcript::new(b"_OG_VERIFY_V1", Version::V1)
        .commit(claim.finalization)
        .noise(b"certificate");
    if !certificate.verify(&mut source, &anchor.scheme, &Sequential) {
        return Err(VerifyError::CertificateSignature(document));
    }
    Ok(seats
        .iter()
        .filter_map(|seat| members.get(usize::from(seat)).map(|member| member.id))
        .collect())
}

/// Walks from the certified block down to the claimed one and returns that block's hash.
///
/// Downwards, because each step then starts from what is already proven: a header that differs
/// from the one that was finalized is named, not its innocent successor.
fn check_headers(claim: Claim<'_>, certified: BlockHash) -> Result<BlockHash, VerifyError> {
    let mut expected = certified;
    let mut above: Option<(String, &Header)> = None;
    for (field, header) in named_headers(claim).into_iter().rev() {
        if let Some((_, successor)) = above {
            expected = successor.parent;
        }
        let found = block_hash(header);
        if found != expected {
            return Err(VerifyError::HeaderHash {
                field,
                found,
                expected,
            });
        }
        if let Some((name, successor)) = above
            && header.height.checked_add(1) != Some(successor.height)
        {
            return Err(VerifyError::Header {
                field: format!("{name}.height"),
                reason: format!("{} follows {}", successor.height, header.height),
            });
        }
        above = Some((field, header));
    }
    Ok(expected)
}

/// The headers with their fields' names, from the claimed block upwards.
pub(crate) fn named_headers(claim: Claim<'_>) -> Vec<(String, &Header)> {
    let document = claim.document.name();
    let descendants = claim
        .descendants
        .iter()
        .enumerate()
        .map(|(index, header)| (format!("{document}.descendants[{index}]"), header));
    std::iter::once((format!("{document}.header"), claim.header))
        .chain(descendants)
        .collect()
}

/// Checks that the certificate is from the round in which the block says it was proposed.
///
/// The last block of an epoch may be proposed again, unchanged, in later views of its epoch, with
/// itself as parent: then the certificate's views are later than the block's.
fn check_round(
    certificate: &Certificate,
    header: &Header,
    document: Document,
) -> Result<(), VerifyError> {
    let epoch = certificate.proposal.epoch().get();
    let view = certificate.proposal.view().get();
    let parent_view = certificate.proposal.parent.get();
    let proposed = view == header.view && parent_view == header.parent_view;
    let proposed_again = view > header.view && parent_view >= header.view;
    if epoch == header.epoch && (proposed || proposed_again) {
        Ok(())
    } else {
        Err(VerifyError::Round(document))
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Bytes} from "@openzeppelin/contracts/utils/Bytes.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Signatures of RSA-2048: RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes.
/// @dev RFC 8017, sections 8.1.2 and 9.1.2, over the 256 bytes of the encoded message as 8 words:
/// 190 zero bytes, a one and the salt, all masked (bytes 0 to 222), a hash (223 to 254) and 0xbc.
library RSAPSS {
    /// @dev DER of SubjectPublicKeyInfo around a modulus of 2048 bits and the exponent 65537.
    bytes private constant KEY_PREFIX =
        hex"30820122300d06092a864886f70d01010105000382010f003082010a0282010100";
    bytes private constant KEY_SUFFIX = hex"0203010001";
    bytes private constant EXPONENT = hex"010001";
    uint256 private constant PREFIX_BYTES = 33;
    uint256 private constant KEY_BYTES = 294;
    uint256 private constant MODULUS_BYTES = 256;
    uint256 private constant LAST_BYTE = 0xbc;

    /// @notice Whether this is the one form of a public key that is read: DER of SubjectPublicKeyInfo,
    /// 2048 bits, exponent 65537.
    function isKey(bytes memory publicKey) internal pure returns (bool) {
        return
            publicKey.length == KEY_BYTES &&
            keccak256(Bytes.slice(publicKey, 0, PREFIX_BYTES)) == keccak256(KEY_PREFIX) &&
            uint8(publicKey[PREFIX_BYTES]) >= 0x80 &&
            keccak256(Bytes.slice(publicKey, PREFIX_BYTES + MODULUS_BYTES)) == keccak256(KEY_SUFFIX);
    }

    /// @notice Whether the holder of the key signed the 32 bytes of `message`.
    function verify(
        bytes memory publicKey,
        bytes32 message,
        bytes memory signature
    ) internal view returns (bool) {
        if (signature.length != MODULUS_BYTES || !isKey(publicKey)) return false;
        bytes memory modulus = Bytes.slice(publicKey, PREFIX_BYTES, PREFIX_BYTES + MODULUS_BYTES);
        bytes memory encoded = Math.modExp(signature, EXPONENT, modulus);

        uint256 first = _word(encoded, 0);
        uint256 tail = _word(encoded, 6);
        uint256 last = _word(encoded, 7);
        // The message has a bit less than the modulus.
        if (first >> 255 != 0 || uint8(last) != LAST_BYTE) return false;
        bytes32 hash = bytes32((tail << 248) | (last >> 8));

        // Bytes 0 to 189 without their mask are zero.
        uint256 padding = ((first ^ _mask(hash, 0)) << 1) >> 1;
        for (uint256 index = 1; index < 5; ++index) {
            padding |= _word(encoded, index) ^ _mask(hash, index);
        }
        uint256 end = _word(encoded, 5) ^ _mask(hash, 5);
        if (padding != 0 || end >> 8 != 1) return false;

        bytes32 salt = bytes32((end << 248) | ((tail ^ _mask(hash, 6)) >> 8));
        bytes32 digest = sha256(abi.encodePacked(message));
        return hash == sha256(abi.encodePacked(bytes8(0), digest, salt));
    }

    function _mask(bytes32 hash, uint256 index) private pure returns (uint256) {
        return uint256(sha256(abi.encodePacked(hash, uint32(index))));
    }

    function _word(bytes memory data, uint256 index) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 32), mul(index, 32)))
        }
    }
}

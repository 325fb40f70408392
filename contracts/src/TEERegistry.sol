// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {RSAPSS} from "./RSAPSS.sol";

/// @title Which gateways answer OpenGradient's clients, and with which keys.
/// @notice The read functions are those that published clients know. EVERY ROW HERE IS OF SIMULATED
/// EVIDENCE: its owner says that it is a gateway, and no hardware vouches for that. `evidence` says
/// so, and `pcrHash`, which elsewhere names what was measured, is SIMULATED_PCR_HASH in every row.
/// @dev Predeployed by the genesis file at 0x…0a03. Nobody has a privilege over a row but its owner,
/// and nobody has one over the contract. Rows are bounded in number and size, so that a call of
/// getActiveTEEs is answered within a transaction's gas.
contract TEERegistry {
    /// @notice What vouches for a row.
    enum Evidence {
        None,
        Simulated
    }

    /// @notice How requests to a gateway are sealed (RFC 9458); an empty key says that they are not.
    struct OhttpConfig {
        uint8 keyId;
        uint16 kemId;
        uint16 kdfId;
        uint16 aeadId;
        bytes publicKey;
        bytes keyConfig;
        uint256 registeredAt;
    }

    /// @notice A row, as published clients read it. Times are in seconds; zero is the genesis file's.
    struct TEEInfo {
        address owner;
        address paymentAddress;
        string endpoint;
        bytes publicKey;
        bytes tlsCertificate;
        bytes32 pcrHash;
        uint8 teeType;
        bool enabled;
        uint256 registeredAt;
        uint256 lastHeartbeatAt;
        OhttpConfig ohttpConfig;
    }

    /// @notice What a gateway says of itself.
    /// @param endpoint Its URL, for example `https://203.0.113.7:8443`.
    /// @param publicKey Its RSA-2048 key, DER of SubjectPublicKeyInfo; the row's id is its keccak256.
    /// @param tlsCertificate Its self-signed certificate in DER.
    /// @param ohttpPublicKey The X25519 key that requests are sealed for; zero if it has none.
    struct Registration {
        address paymentAddress;
        string endpoint;
        bytes publicKey;
        bytes tlsCertificate;
        uint8 teeType;
        bytes32 ohttpPublicKey;
    }

    /// @notice A row of the genesis file.
    struct GenesisTEE {
        address owner;
        Registration tee;
    }

    /// @notice Gateways of language models.
    uint8 public constant LLM_PROXY = 0;
    /// @notice Validators.
    uint8 public constant VALIDATOR = 1;
    /// @notice Most rows of one type.
    uint256 public constant MAX_TEES = 64;
    /// @notice Longest endpoint and certificate, in bytes.
    uint256 public constant MAX_ENDPOINT_BYTES = 128;
    uint256 public constant MAX_CERTIFICATE_BYTES = 1024;
    /// @notice Oldest heartbeat that is taken, in seconds.
    uint256 public constant MAX_HEARTBEAT_AGE = 30 minutes;
    /// @notice When the rows of a type are all taken, one that registered itself gives way after so
    /// long without a heartbeat, in seconds.
    uint256 public constant REPLACEABLE_AFTER = 1 days;
    /// @notice What stands in `pcrHash` of rows that no hardware vouches for.
    bytes32 public constant SIMULATED_PCR_HASH = keccak256("OpenGradient: simulated evidence, nothing was measured");
    bytes32 private constant REGISTRATION_DOMAIN = keccak256("OPENGRADIENT_TEE_REGISTRATION_V1");

    /// @dev The only suite: X25519, HKDF-SHA256, ChaCha20-Poly1305.
    uint8 private constant KEY_ID = 1;
    uint16 private constant KEM_ID = 0x0020;
    uint16 private constant KDF_ID = 0x0001;
    uint16 private constant AEAD_ID = 0x0003;
    uint16 private constant ALGORITHMS_BYTES = 4;

    /// @notice Whether gateways may register themselves with simulated evidence.
    bool public immutable SELF_REGISTRATION;
    /// @notice A row without a heartbeat for longer, in seconds, is not active; zero: silence does not matter.
    uint256 public immutable HEARTBEAT_MAX_AGE;

    mapping(bytes32 teeId => TEEInfo) private _tees;
    mapping(uint8 teeType => bytes32[]) private _ids;
    /// @dev So many of the first ids of a type are the genesis file's, and never give way.
    mapping(uint8 teeType => uint256) private _genesisTees;

    event TEERegistered(bytes32 indexed teeId, address indexed owner, uint8 teeType);
    event TEEUpdated(bytes32 indexed teeId);
    event TEEEnabled(bytes32 indexed teeId);
    event TEEDisabled(bytes32 indexed teeId);
    event TEERemoved(bytes32 indexed teeId);
    event HeartbeatReceived(bytes32 indexed teeId, uint256 timestamp);

    /// @notice The genesis file does not allow simulated evidence.
    error SelfRegistrationNotAllowed();
    /// @notice This key has a row; its owner may change it.
    error TEEAlreadyRegistered(bytes32 teeId);
    error TEENotFound(bytes32 teeId);
    /// @notice Only its owner may change a row.
    error NotOwner(bytes32 teeId, address owner);
    /// @notice All rows of the type are taken, and none gives way.
    error RegistryFull(uint8 teeType);
    /// @notice The key did not sign this.
    error InvalidSignature();
    /// @notice The key is not RSA-2048 with exponent 65537, as DER of SubjectPublicKeyInfo.
    error InvalidPublicKey();
    error InvalidOwner();
    error InvalidType(uint8 teeType);
    /// @notice A length is zero or above its bound.
    error InvalidLength(uint256 length, uint256 most);
    /// @notice The time is in the future, too old, or not after that of the heartbeat before.
    error InvalidTimestamp(uint256 timestamp);

    constructor(bool selfRegistration, uint256 heartbeatMaxAge, GenesisTEE[] memory tees) {
        SELF_REGISTRATION = selfRegistration;
        HEARTBEAT_MAX_AGE = heartbeatMaxAge;
        for (uint256 index = 0; index < tees.length; ++index) {
            Registration memory tee = tees[index].tee;
            _insert(tees[index].owner, tee);
            _genesisTees[tee.teeType] += 1;
        }
    }

    /// @notice Registers the sender as the owner of a gateway with simulated evidence.
    /// @param signature The gateway's key's, of registrationHash: nobody registers another's key.
    function register(Registration calldata tee, bytes calldata signature) external returns (bytes32 teeId) {
        if (!SELF_REGISTRATION) revert SelfRegistrationNotAllowed();
        bytes32 hash = registrationHash(tee, msg.sender);
        if (!RSAPSS.verify(tee.publicKey, hash, signature)) revert InvalidSignature();
        return _insert(msg.sender, tee);
    }

    /// @notice What a gateway's key signs so that `owner` may register it here.
    function registrationHash(Registration calldata tee, address owner) public view returns (bytes32) {
        return keccak256(abi.encode(REGISTRATION_DOMAIN, block.chainid, address(this), owner, tee));
    }

    /// @notice Changes what may change of a row. Its key, and so its id, may not.
    function update(
        bytes32 teeId,
        address paymentAddress,
        string calldata endpoint,
        bytes calldata tlsCertificate,
        bytes32 ohttpPublicKey
    ) external {
        TEEInfo storage tee = _own(teeId);
        _checkLengths(bytes(endpoint).length, tlsCertificate.length);
        tee.paymentAddress = paymentAddress;
        tee.endpoint = endpoint;
        tee.tlsCertificate = tlsCertificate;
        tee.ohttpConfig = _ohttpConfig(ohttpPublicKey);
        emit TEEUpdated(teeId);
    }

    function enableTEE(bytes32 teeId) external {
        _own(teeId).enabled = true;
        emit TEEEnabled(teeId);
    }

    function disableTEE(bytes32 teeId) external {
        _own(teeId).enabled = false;
        emit TEEDisabled(teeId);
    }

    /// @notice Notes that a gateway's key was in use at `timestamp`. Anybody may bring it.
    /// @param signature The gateway's key's, of keccak256(teeId ‖ timestamp).
    function heartbeat(bytes32 teeId, uint256 timestamp, bytes calldata signature) external {
        TEEInfo storage tee = _existing(teeId);
        bool isInTime = timestamp <= block.timestamp &&
            timestamp + MAX_HEARTBEAT_AGE >= block.timestamp &&
            timestamp > tee.lastHeartbeatAt;
        if (!isInTime) revert InvalidTimestamp(timestamp);
        bytes32 hash = keccak256(abi.encode(teeId, timestamp));
        if (!RSAPSS.verify(tee.publicKey, hash, signature)) revert InvalidSignature();
        tee.lastHeartbeatAt = timestamp;
        emit HeartbeatReceived(teeId, timestamp);
    }

    /// @notice What vouches for a row: None if there is none.
    function evidence(bytes32 teeId) external view returns (Evidence) {
        return _tees[teeId].owner == address(0) ? Evidence.None : Evidence.Simulated;
    }

    function getTEE(bytes32 teeId) external view returns (TEEInfo memory) {
        return _existing(teeId);
    }

    function getTEEsByType(uint8 teeType) external view returns (bytes32[] memory) {
        return _ids[teeType];
    }

    function getEnabledTEEs(uint8 teeType) external view returns (bytes32[] memory) {
        return _which(teeType, isTEEEnabled);
    }

    /// @notice The rows that clients may choose from.
    function getActiveTEEs(uint8 teeType) external view returns (TEEInfo[] memory tees) {
        bytes32[] memory ids = _which(teeType, isTEEActive);
        tees = new TEEInfo[](ids.length);
        for (uint256 index = 0; index < ids.length; ++index) tees[index] = _tees[ids[index]];
    }

    function isTEEEnabled(bytes32 teeId) public view returns (bool) {
        return _tees[teeId].enabled;
    }

    /// @notice Whether a row is enabled, and not silent for too long.
    function isTEEActive(bytes32 teeId) public view returns (bool) {
        TEEInfo storage tee = _tees[teeId];
        bool isHeard = HEARTBEAT_MAX_AGE == 0 || block.timestamp - tee.lastHeartbeatAt <= HEARTBEAT_MAX_AGE;
        return tee.enabled && isHeard;
    }

    function _insert(address owner, Registration memory tee) private returns (bytes32 teeId) {
        if (owner == address(0)) revert InvalidOwner();
        if (tee.teeType > VALIDATOR) revert InvalidType(tee.teeType);
        if (!RSAPSS.isKey(tee.publicKey)) revert InvalidPublicKey();
        _checkLengths(bytes(tee.endpoint).length, tee.tlsCertificate.length);
        teeId = keccak256(tee.publicKey);
        if (_tees[teeId].owner != address(0)) revert TEEAlreadyRegistered(teeId);
        _place(teeId, tee.teeType);
        _tees[teeId] = TEEInfo({
            owner: owner,
            paymentAddress: tee.paymentAddress,
            endpoint: tee.endpoint,
            publicKey: tee.publicKey,
            tlsCertificate: tee.tlsCertificate,
            pcrHash: SIMULATED_PCR_HASH,
            teeType: tee.teeType,
            enabled: true,
            registeredAt: block.timestamp,
            lastHeartbeatAt: block.timestamp,
            ohttpConfig: _ohttpConfig(tee.ohttpPublicKey)
        });
        emit TEERegistered(teeId, owner, tee.teeType);
    }

    /// @dev Gives an id a place: a new one, or that of the first row that gives way.
    function _place(bytes32 teeId, uint8 teeType) private {
        bytes32[] storage ids = _ids[teeType];
        if (ids.length < MAX_TEES) {
            ids.push(teeId);
            return;
        }
        for (uint256 index = _genesisTees[teeType]; index < MAX_TEES; ++index) {
            bytes32 silent = ids[index];
            if (block.timestamp - _tees[silent].lastHeartbeatAt > REPLACEABLE_AFTER) {
                delete _tees[silent];
                emit TEERemoved(silent);
                ids[index] = teeId;
                return;
            }
        }
        revert RegistryFull(teeType);
    }

    function _ohttpConfig(bytes32 publicKey) private view returns (OhttpConfig memory config) {
        if (publicKey == 0) return config;
        return
            OhttpConfig({
                keyId: KEY_ID,
                kemId: KEM_ID,
                kdfId: KDF_ID,
                aeadId: AEAD_ID,
                publicKey: abi.encodePacked(publicKey),
                keyConfig: abi.encodePacked(KEY_ID, KEM_ID, publicKey, ALGORITHMS_BYTES, KDF_ID, AEAD_ID),
                registeredAt: block.timestamp
            });
    }

    function _which(
        uint8 teeType,
        function(bytes32) view returns (bool) isWanted
    ) private view returns (bytes32[] memory wanted) {
        bytes32[] memory ids = _ids[teeType];
        wanted = new bytes32[](ids.length);
        uint256 count = 0;
        for (uint256 index = 0; index < ids.length; ++index) {
            if (isWanted(ids[index])) wanted[count++] = ids[index];
        }
        assembly ("memory-safe") {
            // Shortens the list to what is in it.
            mstore(wanted, count)
        }
    }

    function _existing(bytes32 teeId) private view returns (TEEInfo storage tee) {
        tee = _tees[teeId];
        if (tee.owner == address(0)) revert TEENotFound(teeId);
    }

    function _own(bytes32 teeId) private view returns (TEEInfo storage tee) {
        tee = _existing(teeId);
        if (tee.owner != msg.sender) revert NotOwner(teeId, tee.owner);
    }

    function _checkLengths(uint256 endpoint, uint256 certificate) private pure {
        if (endpoint == 0 || endpoint > MAX_ENDPOINT_BYTES) revert InvalidLength(endpoint, MAX_ENDPOINT_BYTES);
        if (certificate == 0 || certificate > MAX_CERTIFICATE_BYTES)
            revert InvalidLength(certificate, MAX_CERTIFICATE_BYTES);
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {RSAPSS} from "../src/RSAPSS.sol";
import {TEERegistry} from "../src/TEERegistry.sol";
import {VM} from "./Vm.sol";

/// @dev Keys that differ from each other and sign nothing: their form is all that is looked at.
function unusedKey(uint256 number) pure returns (bytes memory) {
    bytes memory prefix = hex"30820122300d06092a864886f70d01010105000382010f003082010a0282010100";
    bytes32 top = bytes32(type(uint256).max);
    return abi.encodePacked(prefix, top, new bytes(192), number, hex"0203010001");
}

function teeOf(bytes memory publicKey) pure returns (TEERegistry.Registration memory tee) {
    tee.paymentAddress = address(0xfee);
    tee.endpoint = "https://203.0.113.7:8443";
    tee.publicKey = publicKey;
    tee.tlsCertificate = hex"3000";
    tee.ohttpPublicKey = bytes32(uint256(9));
}

/// @dev The key is that of `crates/opengradient/tests/vectors/sdk-1.1.4.json`, and so is the signature of
/// MESSAGE; the other signatures were made with it for these tests. Signatures made while a test runs
/// are in `crates/chain/src/tests/tee_registry.rs`.
contract TEERegistryTest {
    bytes private constant KEY =
        hex"30820122300d06092a864886f70d01010105000382010f003082010a0282010100858f9e2e6d4d1204faaec0b66fd29b2dddb5443d2a7b353e75063d87ab62293bba4aae681abf2580aa75efcc119491c96081bb55a51d5b7a0fb0a834425f740b632c9338ff4bdc9d409681896222b751b80bbda55df1eac2bff342919dbdce47774b2024699a5e5f75649b5e8af4289e8cdf7c17f2622b42dd736fcc75e2f9f28f503ce9a948f6632649a267dfa4fecd596ca69d19c5e39c3b65c678c138133af1f1f9444ba0a61046f2729bfdc3757776d2dbf4f9c11cccd5aad074cbe04801aed0cee67d6cc95ced2e826b7391d6adf567cc82fea59bd44465cfb297ecbfdafadba019d7946a6e72cc2f1e8c241ef5de1edf934eadad230be5c52059063f1d0203010001";
    bytes32 private constant TEE_ID = 0x2ce34cd4db08e2bd9842b562a6fa21d403b0165dfa3ccfb214137f71f8ab1e31;
    bytes32 private constant MESSAGE = 0x820b043ae40128c4cc4c9f68965fc138d50a06180203c2c0b26802bb691288a2;
    bytes private constant SIGNATURE =
        hex"19bb1364c03ce8f340794a28e8c5c74ef0d2798056cbb2700a93d2f4c161c2b723ccc2f24cf5791ba43c4693e3d6f3e193da14255537f3741fb677f5e9c549638579fadb3a6448a24ff1948850ac0465ff5f3c0f74677ed5f9459562d4ddb0809f91834ffd1353779623f76d19a39e733b46d888e1dbb01124a07941a43b15ae3567b49dca56f1973565a95417c3bacdf09cd5d90aa5ee243e583a3cbf7c3b7696f70bc11478309e1de98c98c5d8a79f964d06507b08c416b90b1059e7d6d9e15a7648126c366b36713391e364e1d173f6a2abfa3c156219409ab38a29c1672917245442c2f47b728b72e1c4b619f49f8b7eae4f70f89bb39ba1fab8e7c8bbc6";
    uint256 private constant HEARTBEAT_AT = 1_795_166_165;
    bytes private constant HEARTBEAT =
        hex"6e830dcc560b7ba605ea44dd1df9ffc93590a769ccab0dd6c7311ba00e670ad813852c9bc6361b2b149a1b93e41f94b297f374fc17e8df48208fd4d4152260766caa64676f8ee460c7b465c89336727fd4e704be914fde5747b00a83321a25ccbd1d93eb2bf87036e3f2cc124a648d8ab269af95e2fce0dc5a4e193eb1cb43532c53098c85e0e8cff8f9c8ac60bf87c96ba876b9bd2e5e42aecf731a34e75e2781cbed79f292c29c67882f5f1625783414196f80d33ba35891f8ded92168c056a7c42eacb5693b566cf08b03b2b6f9cdf640de095fce524554646a41dddbaad3c45d7274a076cac9c0bb5ac228febd680a3b2dec3dad52739b8da9d86cd2198e";
    /// @dev Of REGISTERED_HASH, which is for this test's registry and for alice.
    bytes32 private constant REGISTERED_HASH = 0xcedc2da71928622bc556d5fb5033697ddc06b02e1026580bcec0d55211fe53af;
    bytes private constant REGISTERED =
        hex"5d0936f8101c7e5c384a8e93d5c72b97801182a544ee7dedac7c83b3d16caabbfca6b620d83c165275fc0a38692fb5c73e5891f1b1c82ff3cb93ecbac6ed2123ed27289b8c89e3e470879510512497f4093653e583f064c08b919d001331edfa5873232c6ffea771b019d90c34d2a96d6a8c0fc519fb30c9c99ce9cea37fd9403621b8e56e986f3299b8053ded8738e57ac1066b3000d90589303ddbe309ecb1e088864ec39c7aa604b848189683ada98e369ae22e7986353f34639696beab11770c5df9fe1a5999cd00c6dae4c5d53251fcaf4f4a5f2d9d1d02f506c8bbee083d0165d48f32d3c312332ab2960c95bedc7e3c72bef2c521a54e969b4905bad6";
    /// @dev Of FULL_HASH, which is for the registry of `full` and for alice.
    bytes32 private constant FULL_HASH = 0xce75568692ee1aad397f7adca8837570828be81f281489643327b88276a38714;
    bytes private constant REGISTERED_IN_FULL =
        hex"05cb93f9e22fecdecd88d888906ee0a88e73cfcaef8fbfef0a9aa92dfd4f3a6d9724c90708a495f61822427ea238b18d390ca7ca1b5b9dd23ca3a2dceeba491c02ee98d346eafdda31fc414fd749cbec2aa8679a05ec112ea4898d38a1675b91fdb3b0e148f0e88ace91ef6fafc0e555862c88447415c9613ab478e14dd096cced70e1f2038c3c3bb23c214f71ae67a4b42dfb4cbdae85141702f3179a8626199326d758635cb81082139055c93176659998f4c988bd6e916e93d5499f1aab88b11f89a1883729cc32f8d154dd739de4d6decf20f26818432aff3ab50268baf81aabcf86e39e3ba94a776a54eaf763f1aa9b7de90f0840560b52102cfd6f9ca9";
    address private constant ALICE = address(0xa11ce);
    address private constant BOB = address(0xb0b);

    TEERegistry private registry;

    function setUp() external {
        VM.warp(HEARTBEAT_AT - 1000);
        registry = new TEERegistry(true, 0, new TEERegistry.GenesisTEE[](0));
    }

    function register() private returns (bytes32) {
        VM.prank(ALICE);
        return registry.register(teeOf(KEY), REGISTERED);
    }

    /// @dev A registry of one row, alice's.
    function begun(bool selfRegistration, uint256 heartbeatMaxAge) private returns (TEERegistry) {
        TEERegistry.GenesisTEE[] memory tees = new TEERegistry.GenesisTEE[](1);
        tees[0] = TEERegistry.GenesisTEE(ALICE, teeOf(KEY));
        return new TEERegistry(selfRegistration, heartbeatMaxAge, tees);
    }

    /// @dev A registry whose rows are all taken, by the genesis file.
    function full() private returns (TEERegistry) {
        TEERegistry.GenesisTEE[] memory tees = new TEERegistry.GenesisTEE[](64);
        for (uint256 index = 0; index < 64; ++index) {
            tees[index] = TEERegistry.GenesisTEE(ALICE, teeOf(unusedKey(index)));
        }
        return new TEERegistry(true, 0, tees);
    }

    function verify(bytes memory key, bytes32 message, bytes memory signature) external view returns (bool) {
        return RSAPSS.verify(key, message, signature);
    }

    function test_signatures_of_the_key_hold_and_no_others(uint256 bit) external view {
        assert(this.verify(KEY, MESSAGE, SIGNATURE));
        bytes memory changed = SIGNATURE;
        bit %= 2048;
        changed[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        assert(!this.verify(KEY, MESSAGE, changed));
        assert(!this.verify(KEY, bytes32(uint256(MESSAGE) ^ (1 << (bit % 256))), SIGNATURE));
        assert(!this.verify(unusedKey(1), MESSAGE, SIGNATURE));
        assert(!this.verify(KEY, MESSAGE, hex""));
        assert(!this.verify(hex"", MESSAGE, SIGNATURE));
    }

    function test_a_row_has_what_its_gateway_said_and_is_marked_as_simulated() external {
        assert(registry.registrationHash(teeOf(KEY), ALICE) == REGISTERED_HASH);
        VM.expectEmit(address(registry));
        emit TEERegistry.TEERegistered(TEE_ID, ALICE, 0);
        assert(register() == TEE_ID);
        TEERegistry.TEEInfo memory row = registry.getTEE(TEE_ID);
        assert(row.owner == ALICE && row.paymentAddress == address(0xfee) && row.enabled && row.teeType == 0);
        assert(keccak256(bytes(row.endpoint)) == keccak256("https://203.0.113.7:8443"));
        assert(keccak256(row.publicKey) == TEE_ID && keccak256(row.tlsCertificate) == keccak256(hex"3000"));
        assert(row.registeredAt == block.timestamp && row.lastHeartbeatAt == block.timestamp);
        assert(row.pcrHash == registry.SIMULATED_PCR_HASH());
        assert(registry.evidence(TEE_ID) == TEERegistry.Evidence.Simulated);
        assert(registry.evidence(MESSAGE) == TEERegistry.Evidence.None);
        TEERegistry.OhttpConfig memory config = row.ohttpConfig;
        assert(config.keyId == 1 && config.kemId == 32 && config.kdfId == 1 && config.aeadId == 3);
        assert(bytes32(config.publicKey) == bytes32(uint256(9)) && config.publicKey.length == 32);
        bytes memory keyConfig = abi.encodePacked(hex"010020", uint256(9), hex"000400010003");
        assert(keccak256(config.keyConfig) == keccak256(keyConfig) && config.registeredAt == block.timestamp);
    }

    function test_clients_find_active_rows_of_their_type() external {
        register();
        TEERegistry.TEEInfo[] memory rows = registry.getActiveTEEs(0);
        assert(rows.length == 1 && keccak256(abi.encode(rows[0])) == keccak256(abi.encode(registry.getTEE(TEE_ID))));
        assert(registry.getActiveTEEs(1).length == 0 && registry.getActiveTEEs(255).length == 0);
        assert(registry.getEnabledTEEs(0).length == 1 && registry.getTEEsByType(0)[0] == TEE_ID);
        assert(registry.isTEEActive(TEE_ID) && registry.isTEEEnabled(TEE_ID) && !registry.isTEEActive(MESSAGE));
    }

    function test_its_owner_alone_disables_enables_and_updates_a_row() external {
        register();
        VM.prank(ALICE);
        registry.disableTEE(TEE_ID);
        assert(registry.getActiveTEEs(0).length == 0 && registry.getEnabledTEEs(0).length == 0);
        assert(registry.getTEEsByType(0).length == 1 && !registry.isTEEActive(TEE_ID));
        VM.prank(ALICE);
        registry.enableTEE(TEE_ID);
        assert(registry.isTEEActive(TEE_ID));
        VM.prank(ALICE);
        registry.update(TEE_ID, BOB, "https://example.org", hex"30", 0);
        TEERegistry.TEEInfo memory row = registry.getTEE(TEE_ID);
        assert(row.owner == ALICE && row.paymentAddress == BOB && row.ohttpConfig.publicKey.length == 0);

        bytes memory refused = abi.encodeWithSelector(TEERegistry.NotOwner.selector, TEE_ID, ALICE);
        VM.expectRevert(refused);
        registry.disableTEE(TEE_ID);
        VM.expectRevert(refused);
        registry.enableTEE(TEE_ID);
        VM.expectRevert(refused);
        registry.update(TEE_ID, BOB, "https://example.org", hex"30", 0);
    }

    function test_nobody_registers_anothers_key_or_a_key_twice() external {
        bytes memory refused = abi.encodeWithSelector(TEERegistry.InvalidSignature.selector);
        VM.expectRevert(refused);
        registry.register(teeOf(KEY), SIGNATURE);
        // Alice's signature does not help bob.
        VM.expectRevert(refused);
        VM.prank(BOB);
        registry.register(teeOf(KEY), REGISTERED);
        register();
        VM.expectRevert(abi.encodeWithSelector(TEERegistry.TEEAlreadyRegistered.selector, TEE_ID));
        VM.prank(ALICE);
        registry.register(teeOf(KEY), REGISTERED);
    }

    function test_only_a_genesis_file_that_says_so_lets_gateways_register() external {
        TEERegistry closed = begun(false, 0);
        assert(closed.getActiveTEEs(0).length == 1);
        VM.expectRevert(abi.encodeWithSelector(TEERegistry.SelfRegistrationNotAllowed.selector));
        closed.register(teeOf(KEY), REGISTERED);
    }

    function test_rows_are_bounded_in_size() external {
        register();
        bytes memory long = new bytes(1025);
        VM.expectRevert(abi.encodeWithSelector(TEERegistry.InvalidLength.selector, 1025, 1024));
        VM.prank(ALICE);
        registry.update(TEE_ID, BOB, "https://example.org", long, 0);
        VM.expectRevert(abi.encodeWithSelector(TEERegistry.InvalidLength.selector, 0, 1024));
        VM.prank(ALICE);
        registry.update(TEE_ID, BOB, "https://example.org", hex"", 0);
        VM.expectRevert(abi.encodeWithSelector(TEERegistry.InvalidLength.selector, 129, 128));
        VM.prank(ALICE);
        registry.update(TEE_ID, BOB, string(new bytes(129)), hex"30", 0);
    }

    function begin(TEERegistry.GenesisTEE memory tee) external {
        TEERegistry.GenesisTEE[] memory tees = new TEERegistry.GenesisTEE[](1);
        tees[0] = tee;
        new TEERegistry(true, 0, tees);
    }

    function test_a_genesis_file_with_a_row_that_is_none_is_refused() external {
        TEERegistry.GenesisTEE memory row = TEERegistry.GenesisTEE(ALICE, teeOf(KEY));
        row.owner = address(0);
        VM.expectRevert(abi.encodeWithSelector(TEERegistry.InvalidOwner.selector));
        this.begin(row);
        row.owner = ALICE;
        row.tee.teeType = 2;
        VM.expectRevert(abi.encodeWithSelector(TEERegistry.InvalidType.selector, 2));
        this.begin(row);
        row.tee.teeType = 1;
        row.tee.publicKey = hex"3000";
        VM.expectRevert(abi.encodeWithSelector(TEERegistry.InvalidPublicKey.selector));
        this.begin(row);
    }

    function test_a_heartbeat_says_that_the_key_was_in_use() external {
        register();
        VM.warp(HEARTBEAT_AT + 5);
        VM.expectEmit(address(registry));
        emit TEERegistry.HeartbeatReceived(TEE_ID, HEARTBEAT_AT);
        registry.heartbeat(TEE_ID, HEARTBEAT_AT, HEARTBEAT);
        assert(registry.getTEE(TEE_ID).lastHeartbeatAt == HEARTBEAT_AT);
        // Not twice, not another's, not for a row that is not there.
        VM.expectRevert(abi.encodeWithSelector(TEERegistry.InvalidTimestamp.selector, HEARTBEAT_AT));
        registry.heartbeat(TEE_ID, HEARTBEAT_AT, HEARTBEAT);
        VM.expectRevert(abi.encodeWithSelector(TEERegistry.InvalidSignature.selector));
        registry.heartbeat(TEE_ID, HEARTBEAT_AT + 1, HEARTBEAT);
        VM.expectRevert(abi.encodeWithSelector(TEERegistry.TEENotFound.selector, MESSAGE));
        registry.heartbeat(MESSAGE, HEARTBEAT_AT, HEARTBEAT);
    }

    function test_a_heartbeat_is_neither_old_nor_from_the_future() external {
        register();
        bytes memory refused = abi.encodeWithSelector(TEERegistry.InvalidTimestamp.selector, HEARTBEAT_AT);
        VM.warp(HEARTBEAT_AT - 1);
        VM.expectRevert(refused);
        registry.heartbeat(TEE_ID, HEARTBEAT_AT, HEARTBEAT);
        VM.warp(HEARTBEAT_AT + 1801);
        VM.expectRevert(refused);
        registry.heartbeat(TEE_ID, HEARTBEAT_AT, HEARTBEAT);
        VM.warp(HEARTBEAT_AT + 1800);
        registry.heartbeat(TEE_ID, HEARTBEAT_AT, HEARTBEAT);
    }

    function test_where_silence_matters_a_silent_row_is_not_active_until_it_is_heard() external {
        TEERegistry strict = begun(true, 1 hours);
        assert(strict.isTEEActive(TEE_ID));
        VM.warp(HEARTBEAT_AT + 1800);
        strict.heartbeat(TEE_ID, HEARTBEAT_AT, HEARTBEAT);
        VM.warp(HEARTBEAT_AT + 3600);
        assert(strict.isTEEActive(TEE_ID));
        VM.warp(HEARTBEAT_AT + 3601);
        assert(!strict.isTEEActive(TEE_ID) && strict.getActiveTEEs(0).length == 0);
        assert(strict.isTEEEnabled(TEE_ID) && strict.getEnabledTEEs(0).length == 1);
        // Where it does not, it stays.
        register();
        assert(registry.isTEEActive(TEE_ID));
    }

    function test_a_full_registry_keeps_the_rows_of_the_genesis_file() external {
        TEERegistry taken = full();
        assert(taken.getActiveTEEs(0).length == 64);
        VM.warp(block.timestamp + 365 days);
        VM.expectRevert(abi.encodeWithSelector(TEERegistry.RegistryFull.selector, 0));
        VM.prank(ALICE);
        taken.register(teeOf(KEY), REGISTERED_IN_FULL);
    }

    function test_in_a_full_registry_a_row_gives_way_that_was_silent_for_a_day() external {
        TEERegistry taken = full();
        assert(taken.registrationHash(teeOf(KEY), ALICE) == FULL_HASH);
        // As if only the first row were the genesis file's.
        VM.store(address(taken), keccak256(abi.encode(0, 2)), bytes32(uint256(1)));
        VM.warp(block.timestamp + 1 days);
        VM.expectRevert(abi.encodeWithSelector(TEERegistry.RegistryFull.selector, 0));
        VM.prank(ALICE);
        taken.register(teeOf(KEY), REGISTERED_IN_FULL);

        VM.warp(block.timestamp + 1);
        bytes32 silent = keccak256(unusedKey(1));
        VM.expectEmit(address(taken));
        emit TEERegistry.TEERemoved(silent);
        VM.prank(ALICE);
        taken.register(teeOf(KEY), REGISTERED_IN_FULL);
        bytes32[] memory ids = taken.getTEEsByType(0);
        assert(ids.length == 64 && ids[0] == keccak256(unusedKey(0)) && ids[1] == TEE_ID);
        assert(taken.evidence(silent) == TEERegistry.Evidence.None && taken.isTEEActive(TEE_ID));
        VM.expectRevert(abi.encodeWithSelector(TEERegistry.TEENotFound.selector, silent));
        taken.getTEE(silent);
    }
}

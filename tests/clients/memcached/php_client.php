<?php
// php-memcached in default settings; the binary protocol, and a user and a password, where they are
// given.

[, $host, $port] = $argv;
$name = isset($argv[3]) ? "php-memcached $argv[3]" : 'php-memcached';
$client = new Memcached();
if (isset($argv[3])) {
    $client->setOption(Memcached::OPT_BINARY_PROTOCOL, true);
}
if (isset($argv[4])) {
    $client->setSaslAuthData($argv[4], $argv[5]);
}
$client->addServer($host, (int) $port);

function check(string $what, mixed $got, mixed $expected): void
{
    if ($got !== $expected) {
        fwrite(STDERR, "$what: got " . var_export($got, true) . "\n");
        exit(1);
    }
}

$key = fn (string $word): string => 'php:' . $word;
$client->delete($key('a'));
check('a miss', $client->get($key('a')), false);
check('why', $client->getResultCode(), Memcached::RES_NOTFOUND);
check('set', $client->set($key('a'), 'value'), true);
check('get', $client->get($key('a')), 'value');
$large = str_repeat('x', 500000);
check('set of a large value', $client->set($key('l'), $large), true);
check('get of a large value', $client->get($key('l')), $large);
$many = [];
for ($index = 0; $index < 100; $index++) {
    $many[$key("m$index")] = "v$index";
}
check('set of many', $client->setMulti($many), true);
$found = $client->getMulti(array_merge(array_keys($many), [$key('absent1'), $key('absent2')]));
ksort($many);
ksort($found);
check('get of many', $found, $many);
$client->delete($key('add'));
check('add', $client->add($key('add'), '1'), true);
check('add again', $client->add($key('add'), '2'), false);
check('replace', $client->replace($key('add'), 10), true);
check('increment', $client->increment($key('add'), 5), 15);
check('decrement', $client->decrement($key('add'), 3), 12);
$client->setOption(Memcached::OPT_COMPRESSION, false);
$client->set($key('s'), 'b');
check('append', $client->append($key('s'), 'c'), true);
check('prepend', $client->prepend($key('s'), 'a'), true);
check('both', $client->get($key('s')), 'abc');
$item = $client->get($key('s'), null, Memcached::GET_EXTENDED);
check('cas', $client->cas($item['cas'], $key('s'), 'x'), true);
check('cas with an old number', $client->cas($item['cas'], $key('s'), 'y'), false);
check('touch', $client->touch($key('s'), 100), true);
check('delete', $client->delete($key('a')), true);
check('deleted', $client->get($key('a')), false);
check('version', is_array($client->getVersion()), true);
check('stats', is_array($client->getStats()), true);
echo "$name: ok\n";

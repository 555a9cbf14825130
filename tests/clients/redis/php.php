<?php
// php-redis, as Debian has it: an older client that speaks RESP2. usage: php php.php PORT

function check(bool $fact, string $what): void
{
    if (!$fact) {
        fwrite(STDERR, "$what\n");
        exit(1);
    }
}

$client = new Redis();
check($client->connect('127.0.0.1', (int) $argv[1]), 'connect');
check($client->set('{php}s', 'value', 100), 'set');
check($client->get('{php}s') === 'value', 'get');
check($client->mGet(['{php}s', 'missing']) === ['value', false], 'mget');
check($client->hMSet('{php}h', ['f' => '1', 'g' => '2']), 'hmset');
check($client->hGetAll('{php}h') === ['f' => '1', 'g' => '2'], 'hgetall');
$pipe = $client->pipeline();
for ($number = 0; $number < 100; $number++) {
    $pipe->incr('{php}n');
}
check($pipe->exec()[99] === 100, 'pipeline');
check($client->del('{php}s', '{php}h', '{php}n') === 3, 'del');
check($client->select(2), 'select');
check($client->ping() == true, 'ping');
$client->close();

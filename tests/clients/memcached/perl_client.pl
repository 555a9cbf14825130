# Cache::Memcached in default settings.
use strict;
use warnings;
use Cache::Memcached;

my ($host, $port) = @ARGV;
my $client = Cache::Memcached->new({ servers => ["$host:$port"] });

sub check {
    my ($name, $got, $expected) = @_;
    $got = '(none)' unless defined $got;
    die "$name: got $got, expected $expected\n" unless $got eq $expected;
}

$client->delete('perl:a');
check('a miss', $client->get('perl:a'), '(none)');
check('set', $client->set('perl:a', 'value'), 1);
check('get', $client->get('perl:a'), 'value');
my $large = 'x' x 500_000;
check('set of a large value', $client->set('perl:l', $large), 1);
check('get of a large value', $client->get('perl:l') eq $large, 1);
$client->set("perl:m$_", $_) for 0 .. 99;
my $found = $client->get_multi(map { "perl:m$_" } 0 .. 119);
check('get of many', scalar(keys %$found), 100);
check('one of many', $found->{'perl:m42'}, 42);
$client->delete('perl:add');
check('add', $client->add('perl:add', 1), 1);
check('add again', $client->add('perl:add', 2) ? 1 : 0, 0);
check('replace', $client->replace('perl:add', 10), 1);
check('incr', $client->incr('perl:add', 5), 15);
check('decr', $client->decr('perl:add', 3), 12);
$client->append('perl:a', 'b');
check('append', $client->get('perl:a'), 'valueb');
check('delete', $client->delete('perl:a'), 1);
check('deleted', $client->get('perl:a'), '(none)');
check('stats', scalar(keys %{ $client->stats(['misc']) }) > 0, 1);
print "Cache::Memcached: ok\n";

<?php
// Pastes $BLOCK, the lines of a card for PHPMailer, where an application makes its PHPMailer, and sends with that.
require getenv('PHP_LIBRARY') . '/autoload.php';

use PHPMailer\PHPMailer\PHPMailer;

$mail = new PHPMailer(true);
$mail->Timeout = 30;
try {
    eval('use PHPMailer\PHPMailer\PHPMailer; ' . getenv('BLOCK'));
    $mail->setFrom(getenv('MAIL_FROM'));
    $mail->addAddress(getenv('MAIL_TO'));
    $mail->Subject = 'Reminder';
    $mail->Body = 'Tomorrow at nine.';
    $mail->send();
} catch (Throwable $error) {
    echo get_class($error), ': ', $error->getMessage(), "\n";
    exit(1);
}
